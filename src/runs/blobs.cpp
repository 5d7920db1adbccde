#include "runs/blobs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/core.h>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::runs {

namespace {

// For everybody to read and execute: an input may be a script. What is behind the folder's own mode
// nobody else reaches.
constexpr unsigned kBlobMode = 0555;
constexpr std::size_t kCopyBytes = std::size_t{256} << 10;  // at once

std::string path_of(const Sha256Digest& digest) {
  const std::string hex = to_hex(digest);
  return hex.substr(0, 2) + "/" + hex;
}

Result<std::string> path_of(std::string_view digest) { return path_of(TRY(parse_digest(digest))); }

// Gives every piece of the file to `use`.
template <class Use>
Result<> for_each_piece(int file, Use use) {
  std::vector<std::byte> buffer(kCopyBytes);
  while (true) {
    const std::size_t bytes = TRY(sys::read_some(file, buffer));
    if (bytes == 0) return ok();
    TRY(use(std::span<const std::byte>(buffer).first(bytes)));
  }
}

Result<> copy_to(int from, int dir, std::string_view path) {
  const auto to = TRY(sys::open_at(dir, path, O_WRONLY | O_CREAT | O_EXCL, kBlobMode));
  auto copied = for_each_piece(
      from, [&](std::span<const std::byte> bytes) { return sys::write_all(to.get(), bytes); });
  if (!copied) static_cast<void>(sys::remove_at(dir, path));
  return copied;
}

std::uint64_t in_ms(const timespec& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1000 +
         static_cast<std::uint64_t>(time.tv_nsec) / 1'000'000;
}

Result<> sync_folder(int dir, std::string_view path) {
  const auto folder = TRY(sys::open_at(dir, path, O_RDONLY | O_DIRECTORY));
  return sys::sync_fd(folder.get()).context(path);
}

}  // namespace

Result<Blobs> Blobs::open(int dir, std::string_view folder, Random& random) {
  TRY(sys::ensure_dir_at(dir, folder, 0700).context("blobs"));
  auto root = TRY(sys::open_at(dir, folder, O_RDONLY | O_DIRECTORY).context("blobs"));
  TRY(sys::ensure_dir_at(root.get(), "tmp", 0700).context("blobs"));
  return Blobs(std::move(root), random);
}

Result<BlobWriter> Blobs::create(std::string_view expected, std::uint64_t max_bytes) {
  if (!expected.empty()) TRY(parse_digest(expected));
  std::array<std::uint8_t, 16> name;
  random_->fill(std::as_writable_bytes(std::span(name)));
  std::string temporary = "tmp/" + to_hex(name);
  auto file = TRY(
      sys::open_at(root_.get(), temporary, O_WRONLY | O_CREAT | O_EXCL, 0600).context("blobs"));
  return BlobWriter(root_.get(), *names_, std::move(file), std::move(temporary),
                    std::string(expected), max_bytes);
}

BlobWriter::BlobWriter(BlobWriter&& other) noexcept
    : root_(other.root_),
      names_(other.names_),
      file_(std::move(other.file_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      expected_(std::move(other.expected_)),
      max_bytes_(other.max_bytes_),
      size_(other.size_),
      hash_(std::move(other.hash_)) {}

BlobWriter::~BlobWriter() {
  if (!temporary_.empty()) static_cast<void>(sys::remove_at(root_, temporary_));
}

Result<> BlobWriter::write(std::span<const std::byte> bytes) {
  CHECK(!temporary_.empty());
  if (bytes.size() > max_bytes_ - size_) {
    return Error{Errc::exhausted, fmt::format("content: more than {} bytes", max_bytes_)};
  }
  TRY(sys::write_all(file_.get(), bytes).context("content"));
  hash_.update(bytes);
  size_ += bytes.size();
  return ok();
}

Result<> BlobWriter::write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

Result<Blob> BlobWriter::finish() {
  CHECK(!temporary_.empty());
  const Sha256Digest digest = hash_.finish();
  const std::string text = digest_text(digest);
  if (!expected_.empty() && expected_ != text) {
    return Error{Errc::invalid,
                 fmt::format("content: its digest is {}, not {} as stated", text, expected_)};
  }
  TRY(publish(digest).context("content"));
  return Blob{text, size_};
}

// File first, then its name, then the folder that holds the name: a crash leaves all of it or
// nothing.
Result<> BlobWriter::publish(const Sha256Digest& digest) {
  const std::string path = path_of(digest);
  const std::string folder = path.substr(0, 2);
  {
    const std::lock_guard lock(*names_);
    // Stored already: the destructor removes the temporary file.
    if (sys::exists_at(root_, path)) return sys::set_atime_now_at(root_, path);
  }
  TRY(sys::chmod_fd(file_.get(), kBlobMode));
  TRY(sys::sync_fd(file_.get()));
  auto made = sys::make_dir_at(root_, folder, 0700);
  if (made) TRY(sync_folder(root_, "."));
  if (!made && made.error().sys != EEXIST) return std::move(made).error();
  {
    const std::lock_guard lock(*names_);
    TRY(sys::rename_at(root_, temporary_, root_, path));
  }
  temporary_.clear();
  return sync_folder(root_, folder);
}

Result<sys::UniqueFd> Blobs::read(std::string_view digest) const {
  auto file = sys::open_beneath(root_.get(), TRY(path_of(digest)), O_RDONLY);
  if (!file && file.error().code == Errc::not_found) {
    return Error{Errc::not_found, fmt::format("content {} is not there; upload it first", digest)};
  }
  return file;
}

Result<Blob> Blobs::find(std::string_view digest) const {
  const auto file = TRY(read(digest));
  const struct stat status = TRY(sys::stat_fd(file.get()));
  if (!S_ISREG(status.st_mode)) {
    return Error{Errc::internal, fmt::format("content {}: not a regular file", digest)};
  }
  return Blob{std::string(digest), static_cast<std::uint64_t>(status.st_size)};
}

// The time of the last read serves: the content's own time is seen by programs as their input's.
Result<Blob> Blobs::renew(std::string_view digest) const {
  const std::lock_guard lock(*names_);
  Blob blob = TRY(find(digest));
  TRY(sys::set_atime_now_at(root_.get(), TRY(path_of(digest))).context("content"));
  return blob;
}

Result<> Blobs::link(std::string_view digest, int dir, std::string_view path) const {
  const auto file = TRY(read(digest));
  auto linked = sys::make_link_at(root_.get(), TRY(path_of(digest)), dir, std::string(path));
  if (linked || (linked.error().sys != EMLINK && linked.error().sys != EXDEV)) return linked;
  return copy_to(file.get(), dir, path);
}

Result<> Blobs::verify(std::string_view digest) const {
  const auto file = TRY(read(digest));
  Sha256 hash;
  TRY(for_each_piece(file.get(), [&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    return ok();
  }));
  const std::string found = digest_text(hash.finish());
  if (found == digest) return ok();
  return Error{Errc::internal, fmt::format("content {} is damaged: it is {} now", digest, found)};
}

Result<BlobNames> Blobs::list() const {
  BlobNames found;
  for (const std::string& folder : TRY(sys::list_dir(root_.get(), ".").context("blobs"))) {
    if (folder == "tmp") continue;
    const auto names = sys::list_dir(root_.get(), folder);
    if (!names || folder.size() != 2) {
      found.strays.push_back(folder);
      continue;
    }
    for (const std::string& name : *names) {
      std::string digest = "sha256:" + name;
      std::string path = fmt::format("{}/{}", folder, name);
      const auto status = sys::stat_at(root_.get(), path);
      if (!status) continue;  // removed since
      if (S_ISREG(status->st_mode) && is_digest(digest) && name.starts_with(folder)) {
        found.digests.push_back(std::move(digest));
      } else {
        found.strays.push_back(std::move(path));
      }
    }
  }
  std::sort(found.digests.begin(), found.digests.end());
  std::sort(found.strays.begin(), found.strays.end());
  return found;
}

Result<std::size_t> Blobs::sweep(std::uint64_t before_ms) const {
  std::size_t removed = 0;
  for (const std::string& name : TRY(sys::list_dir(root_.get(), "tmp").context("blobs"))) {
    const std::string path = "tmp/" + name;
    const auto status = sys::stat_at(root_.get(), path);
    if (!status) continue;  // finished in the meantime
    if (in_ms(status->st_mtim) >= before_ms) continue;
    TRY(sys::remove_at(root_.get(), path).context("blobs"));
    ++removed;
  }
  return removed;
}

Result<std::size_t> Blobs::sweep_unused(std::uint64_t before_ms,
                                        const std::set<std::string, std::less<>>& kept) const {
  std::size_t removed = 0;
  for (const std::string& folder : TRY(sys::list_dir(root_.get(), ".").context("blobs"))) {
    if (folder == "tmp") continue;
    for (const std::string& name : TRY(sys::list_dir(root_.get(), folder).context("blobs"))) {
      const std::string digest = "sha256:" + name;
      if (!is_digest(digest) || kept.contains(digest)) continue;  // what is not ours stays
      const bool gone = TRY(
          remove_unused(fmt::format("{}/{}", folder, name), before_ms).context("blobs"));
      removed += gone ? 1 : 0;
    }
  }
  return removed;
}

Result<bool> Blobs::remove_unused(const std::string& path, std::uint64_t before_ms) const {
  const std::lock_guard lock(*names_);
  const auto status = TRY(sys::stat_at(root_.get(), path));
  const std::uint64_t last_ms = std::max(in_ms(status.st_atim), in_ms(status.st_mtim));
  if (!S_ISREG(status.st_mode) || status.st_nlink > 1 || last_ms >= before_ms) return false;
  TRY(sys::remove_at(root_.get(), path));
  return true;
}

}  // namespace tare::runs
