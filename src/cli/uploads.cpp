#include "cli/uploads.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include <fmt/core.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/render.h"
#include "fiber/loop.h"
#include "http/url.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

// O_NONBLOCK: opening a FIFO must not wait for a writer.
constexpr int kOpenFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY;

std::string shown(const std::string& folder, const std::string& path) {
  return quote(folder.empty() ? path : folder + "/" + path);
}

Result<sys::UniqueFd> open_local(const std::string& folder, const std::string& path, int flags) {
  if (folder.empty()) return sys::open_at(sys::kCwd, path, kOpenFlags | flags);
  const auto directory = TRY(sys::open_directory(folder));
  return sys::open_beneath(directory.get(), path, kOpenFlags | flags);
}

struct Collector {
  const std::string& folder;
  std::size_t max_files;
  std::vector<LocalFile> out;

  Result<> collect(const std::string& path, const std::string& name, int flags, std::size_t depth);
};

Result<> Collector::collect(const std::string& path, const std::string& name, int flags,
                            std::size_t depth) {
  const auto refuse = [&](std::string_view why) {
    return Error{Errc::invalid, fmt::format("{}: {}", shown(folder, path), why)};
  };
  constexpr std::string_view kOnly = "only regular files and folders can be inputs";
  if (depth > kMaxPathComponents) return refuse("too deep");
  auto fd = open_local(folder, path, flags);
  if (!fd && fd.error().sys == ELOOP) return refuse(fmt::format("{}, no symlinks", kOnly));
  if (!fd && fd.error().code == Errc::not_found)
    return Error{Errc::not_found, shown(folder, path) + " is not there", fd.error().sys};
  if (!fd) return std::move(fd).error();
  const struct stat st = TRY(sys::stat_fd(fd->get()));
  if (S_ISREG(st.st_mode)) {
    if (out.size() == max_files) {
      return Error{Errc::exhausted, fmt::format("more than {} files", max_files)};
    }
    const bool executable = (st.st_mode & S_IXUSR) != 0;
    out.push_back(
        {.name = name, .path = path, .executable = executable, .digest = {}, .folder = folder});
    return ok();
  }
  if (!S_ISDIR(st.st_mode)) return refuse(kOnly);
  for (const std::string& entry : TRY(sys::list_dir(fd->get(), "."))) {
    TRY(collect(path + "/" + entry, name + "/" + entry, O_NOFOLLOW, depth + 1));
  }
  return ok();
}

// Calls `use` for each piece of the file.
template <class Use>
Result<> read_pieces(int fd, const fiber::Context& ctx, Use use) {
  std::vector<std::byte> buffer(kBufferBytes);
  for (;;) {
    const std::size_t n = TRY(sys::read_some(fd, buffer));
    if (n == 0) return ok();
    use(std::span(buffer).first(n));
    fiber::yield();  // Ctrl-C is answered in the midst of a large file
    TRY(ctx.check());
  }
}

}  // namespace

Result<std::string> name_of_path(const std::string& path) {
  std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();
  std::string name = normal.filename().string();
  if (name.empty() || name == "." || name == ".." || name == "/") {
    return Error{Errc::invalid, fmt::format("--input: {} has no name of its own; write NAME={}",
                                            quote(path), path)};
  }
  return name;
}

Result<std::vector<LocalFile>> find_files(const std::string& path, const std::string& name,
                                          std::size_t max_files, const std::string& folder) {
  Collector collector{folder, max_files, {}};
  TRY(collector.collect(path, name, 0, 0));
  std::sort(collector.out.begin(), collector.out.end(),
            [](const LocalFile& a, const LocalFile& b) { return a.name < b.name; });
  return std::move(collector.out);
}

Result<> upload(App& app, LocalFile& file, const fiber::Context& ctx) {
  auto fd = TRY(open_local(file.folder, file.path, 0));
  Sha256 hash;
  TRY(read_pieces(fd.get(), ctx, [&](std::span<const std::byte> piece) { hash.update(piece); }));
  file.digest = digest_text(hash.finish());
  if (TRY(app.client.exists("/v1/blobs/" + http::percent_encode(file.digest), ctx))) return ok();

  std::uint64_t offset = 0;
  const auto source = [&](std::span<char> buffer, const fiber::Context&) -> Result<std::size_t> {
    const std::size_t n = TRY(sys::read_at(fd.get(), std::as_writable_bytes(buffer), offset));
    offset += n;
    return n;
  };
  const auto answer = TRY(app.client.send("/v1/blobs", source, ctx).context(quote(file.path)));
  const std::string stored = text_at(answer.body, {"digest"});
  if (!is_digest(stored))
    return Error{Errc::internal, "tared stored a blob without naming its digest"};
  if (stored == file.digest) return ok();
  return Error{Errc::conflict,
               fmt::format("{} changed while it was uploaded: try again", quote(file.path))};
}

}  // namespace tare::cli
