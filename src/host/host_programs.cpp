#include "host/host_programs.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/text.h"

namespace tare::host {

namespace {

constexpr const char* kRecordsOfPackages[] = {"/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite",
                                              "/lib/apk/db/installed", "/etc/ld.so.cache",
                                              "/etc/ld.so.preload"};

// What a sandbox of `host` shows of it, and where its programs are.
constexpr std::string_view kShown[] = {"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/"};

bool is_shown(std::string_view path) {
  return std::ranges::any_of(kShown,
                             [&](std::string_view folder) { return path.starts_with(folder); });
}

// Of what a symlink leads to.
std::optional<std::string> identity(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  const auto ns = [](const timespec& at) {
    return static_cast<std::int64_t>(at.tv_sec) * 1'000'000'000 + at.tv_nsec;
  };
  return fmt::format("{} {}.{} {} {} {} {:o}", path, status.st_dev, status.st_ino, status.st_size,
                     ns(status.st_mtim), ns(status.st_ctim), status.st_mode);
}

// A program, there for a sandbox too: not by way of a symlink to where it sees nothing.
bool is_program(const std::string& path, const std::string& root) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) ||
      (status.st_mode & 0111) == 0)
    return false;
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), &::free);
  return real && std::string_view(real.get()).starts_with(root) &&
         is_shown(std::string_view(real.get()).substr(root.size()));
}

}  // namespace

std::string_view path_of(const std::vector<std::string>& variables) {
  constexpr std::string_view kName = "PATH=";
  for (const std::string_view variable : variables) {
    if (variable.starts_with(kName)) return variable.substr(kName.size());
  }
  return {};
}

std::optional<std::string> find_host_program(const std::string& name, std::string_view path,
                                             const std::string& root) {
  if (name.starts_with('/'))
    return is_program(root + name, root) ? std::optional(name) : std::nullopt;
  if (name.empty() || name.find('/') != std::string::npos) return std::nullopt;
  for (const std::string_view folder : split(path, ':')) {
    if (!folder.starts_with('/')) return std::nullopt;
    const std::string file = fmt::format("{}/{}", folder, name);
    if (is_shown(file) && is_program(root + file, root)) return file;
  }
  return std::nullopt;
}

std::optional<std::string> host_programs(const std::vector<std::string>& names,
                                         std::string_view path, const std::string& root) {
  std::string text;
  for (const std::string& name : names) {
    const auto found = find_host_program(name, path, root);
    const auto file = found ? identity(root + *found) : std::nullopt;
    if (!file) return std::nullopt;
    text += *file + "\n";
  }
  for (const char* record : kRecordsOfPackages)
    text += identity(root + record).value_or(fmt::format("{} -", record)) + "\n";
  return text;
}

}  // namespace tare::host
