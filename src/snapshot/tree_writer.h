// TreeWriter: makes entries below one folder, from names and metadata that are not to be trusted.
// Whatever it is given, nothing outside that folder is made, changed or read: every name is checked
// (paths.h), every folder on the way is opened beneath the root without following a symlink, every
// entry is made new (no overwriting).
//
// Owner: one job. Errors: Errc::invalid for an entry that cannot be, Errc::exhausted beyond the
// limits, both naming the path. Units: bytes, seconds. Threads: one. The caller's umask does not
// matter.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/paths.h"
#include "sys/entries.h"
#include "sys/fd.h"

namespace tare::snapshot {

struct TreeLimits {
  std::uint64_t max_entries = 0;     // all kinds, folders made in passing included
  std::uint64_t max_bytes = 0;       // data written, holes not counted
  std::uint64_t max_file_bytes = 0;  // length of one file, holes included

  friend bool operator==(const TreeLimits&, const TreeLimits&) = default;
};

struct EntryMetadata {
  std::uint32_t mode = 0755;
  std::uint32_t uid = 0, gid = 0;
  std::int64_t mtime_s = 0;
  std::vector<sys::Xattr> xattrs = {};  // folders and files only
};

// What attributes take on an ext4: it keeps those of a file in one block of 4096 bytes (and what is
// left of its inode), and says "No space left on device" when they do not fit. Other file systems
// take more. The rest of the block is for what the kernel adds: a label, the overlay's own.
inline constexpr std::uint64_t kMaxXattrCost = 3840;
std::uint64_t xattr_cost(std::string_view name, std::uint64_t value_bytes);
std::uint64_t xattr_cost(const std::vector<sys::Xattr>& xattrs);

// For a folder that has no entry of its own: 0755, root, and the first moment a zip file can hold
// (some programs refuse earlier ones): 1980-01-01T00:00:00Z.
inline constexpr std::int64_t kImplicitMtime = 315'532'800;

// Times outside 1970..2106 are moved to the nearest end: what every file system we may stand on can
// keep.
std::int64_t clamp_mtime(std::int64_t seconds);

class TreeWriter {
 public:
  // A file being written. Dropping it leaves the file: abandon() removes it.
  struct File {
    sys::UniqueFd fd;
    std::string path;
    std::uint64_t written = 0;  // data bytes
  };

  TreeWriter(sys::UniqueFd root, const TreeLimits& limits);
  // What folders that are made in passing are like; else 0755, root's, of kImplicitMtime.
  using ImplicitFolder = std::function<Result<EntryMetadata>(const std::string& path)>;
  void on_implicit_folder(ImplicitFolder metadata) { implicit_ = std::move(metadata); }

  // Again for a folder that exists: the later metadata hold.
  Result<> add_folder(std::string_view path, const EntryMetadata& metadata);
  Result<File> begin_file(std::string_view path);
  Result<> write(File& file, std::span<const std::byte> bytes, std::uint64_t offset);
  Result<> finish_file(File& file, std::uint64_t size, const EntryMetadata& metadata);
  Result<> abandon(File& file);
  // The file of that path below `root`, of the same file system, is here too. False, and nothing is
  // done: it has as many names as it can have.
  Result<bool> link_known(std::string_view path, int root, std::uint64_t size);
  Result<> add_symlink(std::string_view path, const std::string& target,
                       const EntryMetadata& metadata);
  // `target` names a file or symlink made before; it is linked itself, not followed.
  Result<> add_hardlink(std::string_view path, std::string_view target);
  Result<> add_whiteout(std::string_view path);
  // Sets the folders' times, which making entries has changed. Last.
  Result<> finish();

  std::uint64_t entries() const { return entries_; }
  std::uint64_t bytes() const { return bytes_; }
  // The lengths of all finished files, holes included: what it costs to read them.
  std::uint64_t length() const { return length_; }

 private:
  struct Place {
    int folder = -1;  // borrowed: valid until the next place
    std::string name;
  };
  Result<> count_entry(std::string_view path);
  Result<int> folder_at(const std::string& path);
  Result<int> make_folders(const std::string& path);
  Result<Place> place_for(const std::string& path);
  Result<> set_folder(const std::string& path, int parent, const std::string& name,
                      const EntryMetadata& metadata);

  sys::UniqueFd root_;
  TreeLimits limits_;
  ImplicitFolder implicit_;
  std::uint64_t entries_ = 0, bytes_ = 0, length_ = 0;
  std::string near_path_;  // the folder of the last entry: the next one is mostly there too
  sys::UniqueFd near_;
  std::map<std::string, std::int64_t, std::less<>> folder_mtimes_;
};

}  // namespace tare::snapshot
