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

Error not_regular(const std::string& path) {
  return Error{Errc::invalid,
               fmt::format("{}: only regular files and folders can be inputs", quote(path))};
}

Result<> collect(const std::string& path, const std::string& name, int flags, std::size_t max_files,
                 std::size_t depth, std::vector<LocalFile>& out) {
  if (depth > kMaxPathComponents)
    return Error{Errc::invalid, fmt::format("{}: too deep", quote(path))};
  auto fd = sys::open_at(sys::kCwd, path, kOpenFlags | flags);
  if (!fd) return fd.error().sys == ELOOP ? not_regular(path) : std::move(fd).error();
  const struct stat st = TRY(sys::stat_fd(fd->get()));
  if (S_ISREG(st.st_mode)) {
    if (out.size() == max_files) {
      return Error{Errc::exhausted, fmt::format("more than {} files", max_files)};
    }
    out.push_back(
        {.name = name, .path = path, .executable = (st.st_mode & S_IXUSR) != 0, .digest = {}});
    return ok();
  }
  if (!S_ISDIR(st.st_mode)) return not_regular(path);
  for (const std::string& entry : TRY(sys::list_dir(fd->get(), "."))) {
    TRY(collect(path + "/" + entry, name + "/" + entry, O_NOFOLLOW, max_files, depth + 1, out));
  }
  return ok();
}

// Calls `use` for each piece of the file.
template <class Use>
Result<> read_pieces(int fd, Use use) {
  std::vector<std::byte> buffer(kBufferBytes);
  for (;;) {
    const std::size_t n = TRY(sys::read_some(fd, buffer));
    if (n == 0) return ok();
    use(std::span(buffer).first(n));
    fiber::yield();  // Ctrl-C is answered in the midst of a large file
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
                                          std::size_t max_files) {
  std::vector<LocalFile> out;
  TRY(collect(path, name, 0, max_files, 0, out));
  std::sort(out.begin(), out.end(),
            [](const LocalFile& a, const LocalFile& b) { return a.name < b.name; });
  return out;
}

Result<> upload(App& app, LocalFile& file, const fiber::Context& ctx) {
  auto fd = TRY(sys::open_at(sys::kCwd, file.path, kOpenFlags));
  Sha256 hash;
  TRY(read_pieces(fd.get(), [&](std::span<const std::byte> piece) { hash.update(piece); }));
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
