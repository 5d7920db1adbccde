#include "snapshot/known_files.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <span>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {
constexpr std::size_t kCompareBytes = 256 * 1024;

Result<std::uint64_t> begin_of_data(int file, std::uint64_t offset, std::uint64_t size) {
  const auto data = TRY(sys::next_data(file, offset));
  return data ? std::min(data->begin, size) : size;
}

}  // namespace

KnownFiles::KnownFiles(sys::UniqueFd root, Manifest manifest)
    : root_(std::move(root)), ours_(kCompareBytes), theirs_(kCompareBytes) {
  std::set<std::string> several;
  for (const ManifestEntry& entry : manifest.entries) {
    if (entry.type == EntryType::hardlink) several.insert(entry.target);
  }
  for (ManifestEntry& entry : manifest.entries) {
    if (entry.type != EntryType::file || several.contains(entry.path)) continue;
    std::string path = entry.path;
    files_.emplace(std::move(path), std::move(entry));
  }
}

bool KnownFiles::is_alike(const ManifestEntry& known, std::uint64_t size,
                          const EntryMetadata& metadata) const {
  if (known.size != size || known.mode != metadata.mode || known.uid != metadata.uid ||
      known.gid != metadata.gid || known.mtime_s != clamp_mtime(metadata.mtime_s) ||
      known.xattrs.size() != metadata.xattrs.size())
    return false;
  return std::ranges::all_of(metadata.xattrs, [&](const sys::Xattr& xattr) {
    return std::ranges::find(known.xattrs, ManifestXattr{xattr.name, xattr.value}) !=
           known.xattrs.end();
  });
}

// A link to it has its length and its metadata, whatever the manifest says.
Result<bool> KnownFiles::is_as_said(const ManifestEntry& known, int there) const {
  const struct stat status = TRY(sys::stat_fd(there));
  const EntryMetadata metadata{.mode = status.st_mode & 07777,
                               .uid = status.st_uid,
                               .gid = status.st_gid,
                               .mtime_s = status.st_mtim.tv_sec,
                               .xattrs = TRY(kept_xattrs(there))};
  return S_ISREG(status.st_mode) &&
         is_alike(known, static_cast<std::uint64_t>(status.st_size), metadata);
}

Result<bool> KnownFiles::has(const std::string& path, int file, std::uint64_t size,
                             const EntryMetadata& metadata, const OnProgress& progress) {
  const auto known = files_.find(path);
  if (known == files_.end() || !is_alike(known->second, size, metadata)) return false;
  const auto there = sys::open_beneath(root_.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!there || !TRY(is_as_said(known->second, there->get())))
    return false;  // damaged: it is copied
  for (std::uint64_t offset = 0; offset < size;) {
    if (progress) TRY(progress(0, offset));
    // What is a hole in both is the same.
    offset = std::min(TRY(begin_of_data(file, offset, size)),
                      TRY(begin_of_data(there->get(), offset, size)));
    if (offset == size) break;
    const std::size_t n = TRY(sys::read_at(file, ours_, offset).context(path));
    const auto same = sys::read_at(there->get(), std::span(theirs_).first(n), offset);
    if (n == 0 || !same || *same != n) return false;
    if (std::memcmp(ours_.data(), theirs_.data(), n) != 0) return false;
    offset += n;
  }
  return true;
}

}  // namespace tare::snapshot
