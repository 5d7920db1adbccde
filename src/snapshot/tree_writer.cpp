#include "snapshot/tree_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "sys/files.h"
#include "sys/sync_many.h"

namespace tare::snapshot {

namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr std::uint64_t kEarlyWritebackBytes = 256 *
                                               1024;  // small ones are better written together
constexpr std::int64_t kMaxMtime = 4'294'967'295;     // 2106, 32 bits unsigned

Error refused(std::string_view path, std::string_view why) {
  return Error{Errc::invalid, "entry " + quote(path) + ": " + std::string(why)};
}

Error beyond(std::string_view path, std::string_view what, std::uint64_t limit) {
  return Error{Errc::exhausted, "entry " + quote(path) + ": " + std::string(what) +
                                    ", the limit is " + std::to_string(limit)};
}

// What the kernel said on the way to an entry, in words that name the path.
Error on_the_way(std::string_view path, Error error) {
  // A symlink as the last folder of the way is ENOTDIR, one before it ELOOP.
  if (error.sys == ELOOP || error.sys == ENOTDIR) {
    return refused(path, "something on the way to it is a symlink or no folder");
  }
  if (error.sys == EEXIST) return refused(path, "appears twice");
  return std::move(error).context("entry " + quote(path));
}

template <class T>
Result<T> at(std::string_view path, Result<T> result) {
  if (result) return result;
  return on_the_way(path, std::move(result).error());
}

}  // namespace

std::int64_t clamp_mtime(std::int64_t seconds) {
  return std::clamp<std::int64_t>(seconds, 0, kMaxMtime);
}

// fs/ext4/xattr.h: an entry of 16 bytes with the name behind it, without "user."; both parts padded
// to 4.
std::uint64_t xattr_cost(std::string_view name, std::uint64_t value_bytes) {
  constexpr std::uint64_t kEntryBytes = 16, kPad = 4, kPrefixBytes = 5;
  const auto padded = [](std::uint64_t bytes) { return (bytes + kPad - 1) / kPad * kPad; };
  return kEntryBytes + padded(name.size() - std::min<std::uint64_t>(name.size(), kPrefixBytes)) +
         padded(value_bytes);
}

std::uint64_t xattr_cost(const std::vector<sys::Xattr>& xattrs) {
  std::uint64_t cost = 0;
  for (const sys::Xattr& xattr : xattrs) cost += xattr_cost(xattr.name, xattr.value.size());
  return cost;
}

TreeWriter::TreeWriter(sys::UniqueFd root, const TreeLimits& limits)
    : root_(std::move(root)), limits_(limits) {}

Result<> TreeWriter::count_entry(std::string_view path) {
  if (entries_ >= limits_.max_entries)
    return beyond(path, "one entry too many", limits_.max_entries);
  ++entries_;
  return ok();
}

// Opens a folder that must exist.
Result<int> TreeWriter::folder_at(const std::string& path) {
  if (path == kRootPath) return root_.get();
  if (near_.valid() && near_path_ == path) return near_.get();
  sys::UniqueFd fd = TRY(sys::open_beneath(root_.get(), path, kFolderFlags));
  near_ = std::move(fd);
  near_path_ = path;
  return near_.get();
}

// Opens a folder, making it and those above it where they are missing.
Result<int> TreeWriter::make_folders(const std::string& path) {
  auto found = folder_at(path);
  if (found || found.error().sys != ENOENT) return found;
  const auto [parent_path, name] = split_entry_path(path);
  const int parent = TRY(make_folders(parent_path));
  TRY(count_entry(path));
  EntryMetadata metadata;
  metadata.mtime_s = kImplicitMtime;
  if (implicit_) metadata = TRY(implicit_(path));
  TRY(sys::make_dir_at(parent, name, 0700));
  TRY(set_folder(path, parent, name, metadata));
  return folder_at(path);
}

Result<TreeWriter::Place> TreeWriter::place_for(const std::string& path) {
  if (path == kRootPath) return refused(path, "only a folder can be the root");
  auto [parent, name] = split_entry_path(path);
  const int folder = TRY(at(path, make_folders(parent)));
  return Place{folder, std::move(name)};
}

Result<> TreeWriter::set_folder(const std::string& path, int parent, const std::string& name,
                                const EntryMetadata& metadata) {
  const sys::UniqueFd fd = TRY(sys::open_at(parent, name, kFolderFlags));
  TRY(sys::own_fd(fd.get(), metadata.uid, metadata.gid));
  TRY(sys::chmod_fd(fd.get(), metadata.mode));
  for (const sys::Xattr& xattr : metadata.xattrs) TRY(sys::set_xattr_fd(fd.get(), xattr));
  folder_mtimes_[path] = clamp_mtime(metadata.mtime_s);
  return ok();
}

Result<> TreeWriter::add_folder(std::string_view raw_path, const EntryMetadata& metadata) {
  const std::string path = TRY(clean_entry_path(raw_path));
  if (path == kRootPath) return set_folder(path, root_.get(), ".", metadata).context("root folder");
  const Place place = TRY(place_for(path));
  auto made = sys::make_dir_at(place.folder, place.name, 0700);
  if (made) {
    TRY(count_entry(path));
  } else if (made.error().sys != EEXIST) {
    return on_the_way(path, std::move(made).error());
  } else if (!S_ISDIR(TRY(sys::stat_at(place.folder, place.name)).st_mode)) {
    return refused(path, "appears twice, as a folder and as something else");
  }
  return at(path, set_folder(path, place.folder, place.name, metadata));
}

Result<TreeWriter::File> TreeWriter::begin_file(std::string_view raw_path) {
  const std::string path = TRY(clean_entry_path(raw_path));
  const Place place = TRY(place_for(path));
  TRY(count_entry(path));
  sys::UniqueFd fd = TRY(at(path, sys::open_at(place.folder, place.name,
                                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)));
  return File{std::move(fd), path, 0};
}

Result<> TreeWriter::write(File& file, std::span<const std::byte> bytes, std::uint64_t offset) {
  if (bytes.size() > limits_.max_bytes - std::min(bytes_, limits_.max_bytes)) {
    return beyond(file.path, "too many bytes in all", limits_.max_bytes);
  }
  if (offset > limits_.max_file_bytes || bytes.size() > limits_.max_file_bytes - offset) {
    return beyond(file.path, "the file is too long", limits_.max_file_bytes);
  }
  TRY(at(file.path, sys::write_at(file.fd.get(), bytes, offset)));
  file.written += bytes.size();
  bytes_ += bytes.size();
  return ok();
}

Result<> TreeWriter::finish_file(File& file, std::uint64_t size, const EntryMetadata& metadata) {
  if (size > limits_.max_file_bytes)
    return beyond(file.path, "the file is too long", limits_.max_file_bytes);
  const int fd = file.fd.get();
  TRY(at(file.path, sys::truncate_fd(fd, size)));
  for (const sys::Xattr& xattr : metadata.xattrs) TRY(at(file.path, sys::set_xattr_fd(fd, xattr)));
  // In this order: a change of owner takes the setuid bit away.
  TRY(at(file.path, sys::own_fd(fd, metadata.uid, metadata.gid)));
  TRY(at(file.path, sys::chmod_fd(fd, metadata.mode)));
  TRY(at(file.path, sys::set_mtime_fd(fd, clamp_mtime(metadata.mtime_s))));
  length_ += size;
  // The disk can work while the rest is read and hashed.
  if (file.written >= kEarlyWritebackBytes) sys::start_writeback(fd);
  file.fd.reset();
  return ok();
}

Result<> TreeWriter::abandon(File& file) {
  const Place place = TRY(place_for(file.path));
  TRY(at(file.path, sys::remove_at(place.folder, place.name)));
  file.fd.reset();
  bytes_ -= file.written;
  --entries_;
  return ok();
}

Result<bool> TreeWriter::link_known(std::string_view raw_path, int root, std::uint64_t size) {
  const std::string path = TRY(clean_entry_path(raw_path));
  if (size > limits_.max_file_bytes)
    return beyond(path, "the file is too long", limits_.max_file_bytes);
  const auto [from_path, from_name] = split_entry_path(path);
  const sys::UniqueFd from = TRY(at(path, sys::open_beneath(root, from_path, kFolderFlags)));
  const Place place = TRY(place_for(path));
  auto linked = sys::make_link_at(from.get(), from_name, place.folder, place.name);
  if (!linked && linked.error().sys == EMLINK) return false;
  TRY(at(path, std::move(linked)));
  TRY(count_entry(path));
  length_ += size;
  return true;
}

Result<> TreeWriter::add_symlink(std::string_view raw_path, const std::string& target,
                                 const EntryMetadata& metadata) {
  const std::string path = TRY(clean_entry_path(raw_path));
  if (target.empty() || target.size() > kMaxLinkTargetBytes ||
      target.find('\0') != std::string::npos) {
    return refused(path, "a symlink's target has 1 to 4095 bytes");
  }
  const Place place = TRY(place_for(path));
  TRY(count_entry(path));
  TRY(at(path, sys::make_symlink_at(place.folder, place.name, target)));
  TRY(at(path, sys::own_at(place.folder, place.name, metadata.uid, metadata.gid)));
  return at(path, sys::set_mtime_at(place.folder, place.name, clamp_mtime(metadata.mtime_s)));
}

Result<> TreeWriter::add_hardlink(std::string_view raw_path, std::string_view raw_target) {
  const std::string path = TRY(clean_entry_path(raw_path));
  const std::string target = TRY(
      clean_entry_path(raw_target).context("entry " + quote(path) + ": hard link"));
  if (target == kRootPath) return refused(path, "is a hard link to a folder");
  const auto [from_path, from_name] = split_entry_path(target);
  // A descriptor of its own: place_for() below may replace the one kept near.
  const sys::UniqueFd from = TRY(at(path, sys::open_beneath(root_.get(), from_path, kFolderFlags)));
  auto status = sys::stat_at(from.get(), from_name);
  if (!status || !(S_ISREG(status->st_mode) || S_ISLNK(status->st_mode))) {
    return refused(
        path, "is a hard link to " + quote(target) + ", which is no file or symlink made before");
  }
  const Place place = TRY(place_for(path));
  TRY(count_entry(path));
  return at(path, sys::make_link_at(from.get(), from_name, place.folder, place.name));
}

Result<> TreeWriter::add_whiteout(std::string_view raw_path) {
  const std::string path = TRY(clean_entry_path(raw_path));
  if (path == kRootPath) return refused(path, "cannot be hidden");
  const Place place = TRY(place_for(path));
  TRY(count_entry(path));
  return at(path, sys::make_whiteout_at(place.folder, place.name));
}

Result<> TreeWriter::finish() {
  for (const auto& [path, mtime_s] : folder_mtimes_) {
    if (path == kRootPath) {
      TRY(sys::set_mtime_fd(root_.get(), mtime_s));
      continue;
    }
    const auto [parent, name] = split_entry_path(path);
    const int folder = TRY(at(path, folder_at(parent)));
    TRY(at(path, sys::set_mtime_at(folder, name, mtime_s)));
  }
  return ok();
}

}  // namespace tare::snapshot
