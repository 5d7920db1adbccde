#include "sys/mountfs.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace tare::sys {

namespace {

// glibc 2.36 has these calls in <sys/mount.h>; they are called by number so that the flags of newer
// kernels in <linux/mount.h> can be used with it.
constexpr unsigned kFsopenCloexec = 1;
constexpr unsigned kFsmountCloexec = 1;

std::uint64_t attributes(const MountFlags& flags) {
  std::uint64_t bits = 0;
  if (flags.read_only) bits |= MOUNT_ATTR_RDONLY;
  if (flags.nosuid) bits |= MOUNT_ATTR_NOSUID;
  if (flags.nodev) bits |= MOUNT_ATTR_NODEV;
  if (flags.noexec) bits |= MOUNT_ATTR_NOEXEC;
  return bits;
}

Result<> set_attributes(int mount, std::uint64_t bits, int user_namespace, bool recursive,
                        std::string_view what) {
  mount_attr attr = {};
  attr.attr_set = bits;
  if (user_namespace >= 0) attr.userns_fd = static_cast<std::uint64_t>(user_namespace);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  if (::syscall(SYS_mount_setattr, mount, "", flags, &attr, sizeof attr) != 0)
    return sys_error(errno, what);
  return ok();
}

}  // namespace

Result<FsContext> FsContext::create(std::string_view type) {
  const std::string name(type);
  UniqueFd fd(static_cast<int>(::syscall(SYS_fsopen, name.c_str(), kFsopenCloexec)));
  if (!fd.valid()) return sys_error(errno, "fsopen " + name);
  return FsContext(std::move(fd), type);
}

Error FsContext::failed(int error, std::string_view what) const {
  std::string message = type_ + " " + std::string(what);
  char line[512];
  const ssize_t n = ::read(fd_.get(), line,
                           sizeof line - 1);  // "e overlay: ...", one message a read
  if (n > 2) message.append(" (").append(line + 2, static_cast<std::size_t>(n - 2)).append(")");
  return sys_error(error, message);
}

Result<> FsContext::set(std::string_view key, std::string_view value) {
  const std::string k(key);
  const std::string v(value);
  if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_SET_STRING, k.c_str(), v.c_str(), 0) != 0) {
    return failed(errno, "option " + k);
  }
  return ok();
}

Result<> FsContext::set_flag(std::string_view key) {
  const std::string k(key);
  if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_SET_FLAG, k.c_str(), nullptr, 0) != 0) {
    return failed(errno, "option " + k);
  }
  return ok();
}

Result<UniqueFd> FsContext::mount(const MountFlags& flags) {
  if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return failed(errno, "create");
  }
  UniqueFd mount(
      static_cast<int>(::syscall(SYS_fsmount, fd_.get(), kFsmountCloexec, attributes(flags))));
  if (!mount.valid()) return failed(errno, "fsmount");
  return mount;
}

Result<FsContext> FsContext::pick(int mount) {
  constexpr unsigned kFspickCloexec = 1;
  constexpr unsigned kFspickEmptyPath = 8;
  UniqueFd fd(
      static_cast<int>(::syscall(SYS_fspick, mount, "", kFspickCloexec | kFspickEmptyPath)));
  if (!fd.valid()) return sys_error(errno, "fspick");
  return FsContext(std::move(fd), "file system");
}

Result<> FsContext::reconfigure() {
  if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) != 0)
    return failed(errno, "reconfigure");
  return ok();
}

Result<UniqueFd> clone_tree(int dir, std::string_view path, bool recursive) {
  const std::string p(path);
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
                         (p.empty() ? AT_EMPTY_PATH : 0U) | (recursive ? AT_RECURSIVE : 0U);
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, dir, p.c_str(), flags)));
  if (!tree.valid()) return sys_error(errno, "open_tree " + p);
  return tree;
}

Result<> restrict_mount(int mount, const MountFlags& flags, bool recursive) {
  return set_attributes(mount, attributes(flags), -1, recursive, "mount_setattr");
}

Result<> idmap_mount(int mount, int user_namespace) {
  return set_attributes(mount, MOUNT_ATTR_IDMAP, user_namespace, false, "mount_setattr idmap");
}

Result<> attach_mount(int mount, int dir, std::string_view path) {
  const std::string p(path);
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (p.empty() ? MOVE_MOUNT_T_EMPTY_PATH : 0U);
  if (::syscall(SYS_move_mount, mount, "", dir, p.c_str(), flags) != 0)
    return sys_error(errno, "move_mount " + p);
  return ok();
}

Result<> unmount(std::string_view path, bool detach) {
  const std::string p(path);
  if (::umount2(p.c_str(), UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) != 0)
    return sys_error(errno, "umount " + p);
  return ok();
}

Result<> make_private(std::string_view path) {
  const std::string p(path);
  if (::mount(nullptr, p.c_str(), nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return sys_error(errno, "mount make-rprivate");
  }
  return ok();
}

Result<bool> is_mount_root(int fd) {
  struct statx status = {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 0, &status) != 0)
    return sys_error(errno, "statx");
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<std::uint64_t> mount_id(int fd) {
  struct statx status = {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &status) != 0)
    return sys_error(errno, "statx");
  if ((status.stx_mask & STATX_MNT_ID) == 0) return sys_error(ENOSYS, "statx: no STATX_MNT_ID");
  return status.stx_mnt_id;
}

bool is_read_only(int fd) {
  struct statvfs status = {};
  return ::fstatvfs(fd, &status) == 0 && (status.f_flag & ST_RDONLY) != 0;
}

}  // namespace tare::sys
