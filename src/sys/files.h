// Files, one call each: EINTR retried, O_CLOEXEC always, errno turned into an Error that names the
// call and the object. "fd first, path second": a relative path is resolved below the directory
// descriptor. Paths that come from outside go through open_beneath, which no symlink, "..", magic
// link or mount can lead out of. Sources: open(2), openat2(2), rename(2), fsync(2). Threads:
// stateless.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sys {

// AT_FDCWD, without making every user include <fcntl.h>.
inline constexpr int kCwd = -100;

Result<UniqueFd> open_at(int dir, std::string_view path, int flags, unsigned mode = 0);

// openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS. For names from
// outside.
Result<UniqueFd> open_beneath(int dir, std::string_view path, int flags, unsigned mode = 0);

// O_PATH | O_DIRECTORY; for a host path chosen by us.
Result<UniqueFd> open_directory(std::string_view path);

// All of it, at most `max_bytes` (Errc::exhausted beyond). Works for procfs and cgroupfs, whose
// size is 0.
Result<std::string> read_file_at(int dir, std::string_view path, std::size_t max_bytes = 1 << 20);
Result<std::string> read_all(int fd, std::size_t max_bytes);

// One write(2) to an existing file (procfs, cgroupfs): what a short write would break in two is
// refused.
Result<> write_control(int dir, std::string_view path, std::string_view text);

// Everything, however many write(2) it takes.
Result<> write_all(int fd, std::span<const std::byte> bytes);
Result<> write_all(int fd, std::string_view text);

// The file has all of `text` or keeps what it had: temporary file, fsync, rename, fsync of the
// folder.
Result<> write_file_atomic(int dir, std::string_view path, std::string_view text, unsigned mode);

// The same for who reads it while this machine runs, but not flushed: a crash of the machine may
// lose it.
Result<> replace_file(int dir, std::string_view path, std::string_view text, unsigned mode);

Result<> make_dir_at(int dir, std::string_view path, unsigned mode);    // conflict when it exists
Result<> ensure_dir_at(int dir, std::string_view path, unsigned mode);  // fine when it exists
Result<> remove_at(int dir, std::string_view path);      // file or symlink; fine when absent
Result<> remove_dir_at(int dir, std::string_view path);  // empty folder; fine when absent
Result<> own_at(int dir, std::string_view path, uid_t uid, gid_t gid);  // never follows a symlink
Result<> chmod_fd(int fd, unsigned mode);
Result<struct stat> stat_fd(int fd);
Result<> sync_fd(int fd);
bool exists_at(int dir, std::string_view path);

// Names in a directory, without "." and "..", in no order; at most `max_entries`.
Result<std::vector<std::string>> list_dir(int dir, std::string_view path,
                                          std::size_t max_entries = 1 << 20);

// Removes a folder and all below it, never following a symlink, never leaving the file system it
// started on. Fine when absent.
Result<> remove_tree_at(int dir, std::string_view path);

Result<> set_nonblocking(int fd, bool on);
struct Pipe {
  UniqueFd read, write;
};
Result<Pipe> make_pipe();  // both ends O_CLOEXEC
Result<UniqueFd> dup_fd(int fd);

}  // namespace tare::sys
