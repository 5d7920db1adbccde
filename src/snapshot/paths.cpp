#include "snapshot/paths.h"

#include <algorithm>

#include "base/text.h"

namespace tare::snapshot {

namespace {

Error refused(std::string_view path, std::string_view why) {
  return Error{Errc::invalid, "path " + quote(path) + " " + std::string(why)};
}

Result<> check_components(std::string_view path, std::string_view rest) {
  for (std::size_t depth = 1;; ++depth) {
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    if (name.empty()) return refused(path, "has an empty component");
    if (name == "." || name == "..") return refused(path, "has a component \".\" or \"..\"");
    if (name.size() > kMaxEntryNameBytes)
      return refused(path, "has a component of more than 255 bytes");
    if (depth > kMaxEntryDepth) return refused(path, "is more than 256 folders deep");
    if (slash == std::string_view::npos) return ok();
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<std::string> clean_entry_path(std::string_view path) {
  if (path.empty()) return refused(path, "is empty");
  if (path.find('\0') != std::string_view::npos) return refused(path, "contains a NUL byte");
  if (path.front() == '/')
    return refused(path, "is absolute; make the archive with relative names");
  std::string_view rest = path;
  while (rest.starts_with("./")) rest.remove_prefix(2);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty() || rest == ".") return std::string(kRootPath);
  if (rest.size() > kMaxEntryPathBytes) return refused(path, "is longer than 4000 bytes");
  TRY(check_components(path, rest));
  return std::string(rest);
}

Result<> check_entry_path(std::string_view path) {
  if (TRY(clean_entry_path(path)) != path) return refused(path, "is not in its plain form");
  return ok();
}

std::pair<std::string, std::string> split_entry_path(std::string_view path) {
  CHECK(path != kRootPath);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {std::string(kRootPath), std::string(path)};
  return {std::string(path.substr(0, slash)), std::string(path.substr(slash + 1))};
}

std::string join_entry_path(std::string_view folder, std::string_view name) {
  std::string path;
  if (folder != kRootPath) path.append(folder).push_back('/');
  return path.append(name);
}

bool is_at_or_below(std::string_view path, std::string_view folder) {
  if (folder == kRootPath) return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::strong_ordering compare_entry_paths(std::string_view a, std::string_view b) {
  if (a == b) return std::strong_ordering::equal;
  if (a == kRootPath) return std::strong_ordering::less;
  if (b == kRootPath) return std::strong_ordering::greater;
  const auto [at_a, at_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (at_a == a.end()) return std::strong_ordering::less;
  if (at_b == b.end()) return std::strong_ordering::greater;
  // The separator sorts before every byte a name can hold, so that a folder's content follows it
  // directly.
  if (*at_a == '/') return std::strong_ordering::less;
  if (*at_b == '/') return std::strong_ordering::greater;
  return static_cast<unsigned char>(*at_a) <=> static_cast<unsigned char>(*at_b);
}

}  // namespace tare::snapshot
