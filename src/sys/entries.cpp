#include "sys/entries.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "sys/files.h"
#include "sys/retry.h"

namespace tare::sys {

Result<struct stat> stat_at(int dir, const std::string& name) {
  struct stat status = {};
  if (::fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_error(errno, "stat " + name);
  return status;
}

Result<std::string> read_link_at(int dir, const std::string& name) {
  char target[PATH_MAX];
  const ssize_t n = ::readlinkat(dir, name.c_str(), target, sizeof target);
  if (n < 0) return sys_error(errno, "readlink " + name);
  return std::string(target, static_cast<std::size_t>(n));
}

Result<std::string> read_program_beside(std::string_view name, std::size_t max_bytes) {
  std::string path = TRY(read_link_at(kCwd, "/proc/self/exe"));
  path.resize(path.rfind('/') + 1);
  return read_file_at(kCwd, path.append(name), max_bytes);
}

Result<> make_whiteout_at(int dir, const std::string& name) {
  if (::mknodat(dir, name.c_str(), S_IFCHR, ::makedev(0, 0)) != 0)
    return sys_error(errno, "make whiteout " + name);
  return ok();
}

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(0, 0);
}

Result<> make_symlink_at(int dir, const std::string& name, const std::string& target) {
  if (::symlinkat(target.c_str(), dir, name.c_str()) != 0)
    return sys_error(errno, "symlink " + name);
  return ok();
}

Result<> make_link_at(int from_dir, const std::string& from, int to_dir, const std::string& to) {
  if (::linkat(from_dir, from.c_str(), to_dir, to.c_str(), 0) != 0)
    return sys_error(errno, "link " + to);
  return ok();
}

Result<> rename_at(int from_dir, const std::string& from, int to_dir, const std::string& to) {
  if (::renameat(from_dir, from.c_str(), to_dir, to.c_str()) != 0) {
    return sys_error(errno, "rename " + from + " to " + to);
  }
  return ok();
}

Result<> exchange_at(int a_dir, const std::string& a, int b_dir, const std::string& b) {
  if (::renameat2(a_dir, a.c_str(), b_dir, b.c_str(), RENAME_EXCHANGE) != 0)
    return sys_error(errno, "exchange " + a + " and " + b);
  return ok();
}

Result<> own_fd(int fd, uid_t uid, gid_t gid) {
  if (::fchown(fd, uid, gid) != 0) return sys_error(errno, "fchown");
  return ok();
}

Result<> set_mtime_at(int dir, const std::string& name, std::int64_t seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  if (::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_error(errno, "utimensat " + name);
  return ok();
}

Result<> set_atime_now_at(int dir, const std::string& name) {
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  if (::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_error(errno, "utimensat " + name);
  return ok();
}

Result<> set_mtime_fd(int fd, std::int64_t seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  if (::futimens(fd, times) != 0) return sys_error(errno, "futimens");
  return ok();
}

Result<> truncate_fd(int fd, std::uint64_t size) {
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) return sys_error(errno, "ftruncate");
  return ok();
}

Result<std::size_t> read_at(int fd, std::span<std::byte> into, std::uint64_t offset) {
  const ssize_t n = retry(
      [&] { return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset)); });
  if (n < 0) return sys_error(errno, "pread");
  return static_cast<std::size_t>(n);
}

Result<std::size_t> read_some(int fd, std::span<std::byte> into) {
  const ssize_t n = retry([&] { return ::read(fd, into.data(), into.size()); });
  if (n < 0) return sys_error(errno, "read");
  return static_cast<std::size_t>(n);
}

Result<> write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = retry(
        [&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (n < 0) return sys_error(errno, "pwrite");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return ok();
}

Result<std::optional<Stretch>> next_data(int fd, std::uint64_t offset) {
  const off_t begin = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (begin < 0) {
    if (errno == ENXIO) return std::optional<Stretch>();
    return sys_error(errno, "lseek SEEK_DATA");
  }
  const off_t end = ::lseek(fd, begin, SEEK_HOLE);
  if (end < 0) {
    if (errno == ENXIO) return std::optional<Stretch>();  // cut short since
    return sys_error(errno, "lseek SEEK_HOLE");
  }
  return std::optional(Stretch{static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)});
}

namespace {

constexpr std::size_t kMaxXattrListBytes = 65'536;  // XATTR_LIST_MAX
constexpr std::size_t kMaxXattrBytes = 65'536;      // XATTR_SIZE_MAX

}  // namespace

Result<std::vector<Xattr>> xattrs_fd(int fd, std::string_view prefix) {
  std::vector<Xattr> found;
  const ssize_t needed = ::flistxattr(fd, nullptr, 0);  // nearly always 0: no buffer for it
  if (needed == 0 || (needed < 0 && errno == EOPNOTSUPP)) return found;
  std::string names(kMaxXattrListBytes, '\0');
  const ssize_t n = ::flistxattr(fd, names.data(), names.size());
  if (n < 0) return sys_error(errno, "flistxattr");
  names.resize(static_cast<std::size_t>(n));
  std::string value(kMaxXattrBytes, '\0');
  for (std::size_t at = 0; at < names.size();) {
    const std::string name(names.c_str() + at);
    at += name.size() + 1;
    if (!std::string_view(name).starts_with(prefix)) continue;
    const ssize_t size = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (size < 0) return sys_error(errno, "fgetxattr " + name);
    found.push_back({name, value.substr(0, static_cast<std::size_t>(size))});
  }
  std::sort(found.begin(), found.end(),
            [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
  return found;
}

Result<std::string> xattr_fd(int fd, const char* name) {
  char value[64];
  const ssize_t size = ::fgetxattr(fd, name, value, sizeof value);
  if (size >= 0) return std::string(value, static_cast<std::size_t>(size));
  if (errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE) return std::string();
  return sys_error(errno, "fgetxattr " + std::string(name));
}

Result<> set_xattr_fd(int fd, const Xattr& attribute) {
  if (::fsetxattr(fd, attribute.name.c_str(), attribute.value.data(), attribute.value.size(), 0) !=
      0) {
    return sys_error(errno, "fsetxattr " + attribute.name);
  }
  return ok();
}

Result<> sync_filesystem(int fd) {
  if (::syncfs(fd) != 0) return sys_error(errno, "syncfs");
  return ok();
}

Result<bool> try_lock_exclusive(int fd) {
  if (retry([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return sys_error(errno, "flock");
}

}  // namespace tare::sys
