// One name in one folder: metadata, links, extended attributes, data with holes. Every call acts on
// the name itself in the folder `dir`, never on what a symlink points to, and takes a single
// component where it says `name`: resolving a path is open_beneath's work (files.h). Sources:
// linkat(2), symlinkat(2), readlinkat(2), utimensat(2), lseek(2) SEEK_DATA, syncfs(2), flock(2),
// xattr(7). Threads: stateless.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sys {

Result<struct stat> stat_at(int dir, const std::string& name);
Result<std::string> read_link_at(int dir, const std::string& name);
// The bytes of a program that lies in the folder of our own.
Result<std::string> read_program_beside(std::string_view name, std::size_t max_bytes);
Result<> make_symlink_at(int dir, const std::string& name, const std::string& target);
// What hides an entry of a lower layer (overlayfs.rst): a character device 0, 0, which nobody can
// open. Needs no capability (5.8).
Result<> make_whiteout_at(int dir, const std::string& name);
bool is_whiteout(const struct stat& status);
Result<> make_link_at(int from_dir, const std::string& from, int to_dir, const std::string& to);
// Atomic; replaces nothing but an empty folder when `from` is a folder.
Result<> rename_at(int from_dir, const std::string& from, int to_dir, const std::string& to);
// Each gets the other's name, at once (renameat2(2) RENAME_EXCHANGE).
Result<> exchange_at(int a_dir, const std::string& a, int b_dir, const std::string& b);
Result<> own_fd(int fd, uid_t uid, gid_t gid);
Result<> set_mtime_at(int dir, const std::string& name, std::int64_t seconds);
Result<> set_atime_now_at(int dir, const std::string& name);
Result<> set_mtime_fd(int fd, std::int64_t seconds);

Result<> truncate_fd(int fd, std::uint64_t size);
Result<std::size_t> read_at(int fd, std::span<std::byte> into,
                            std::uint64_t offset);                 // 0 at the end
Result<std::size_t> read_some(int fd, std::span<std::byte> into);  // 0 at the end
Result<> write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset);
// The next stretch of data at or after `offset`, or nullopt when only a hole is left.
struct Stretch {
  std::uint64_t begin = 0, end = 0;
};
Result<std::optional<Stretch>> next_data(int fd, std::uint64_t offset);

struct Xattr {
  std::string name, value;
  friend bool operator==(const Xattr&, const Xattr&) = default;
};
// Those whose name starts with `prefix`, sorted by name. None where the file system has none.
Result<std::vector<Xattr>> xattrs_fd(int fd, std::string_view prefix);
// One whose value is short; "" when there is none of that name, or a longer one.
Result<std::string> xattr_fd(int fd, const char* name);
Result<> set_xattr_fd(int fd, const Xattr& attribute);

Result<> sync_filesystem(int fd);         // everything written so far, of the whole file system
Result<bool> try_lock_exclusive(int fd);  // flock; false: somebody else holds it

}  // namespace tare::sys
