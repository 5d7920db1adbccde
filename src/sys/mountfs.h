// Mounts by descriptor: a file system or a copy of a tree is made detached, given its attributes,
// and only then attached where it belongs; nothing half-made is ever visible. All need
// CAP_SYS_ADMIN. Sources: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2),
// mount_setattr(2) (man-pages 6.x).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sys {

// Mount attributes, our spelling of MOUNT_ATTR_*.
struct MountFlags {
  bool read_only = false;
  bool nosuid = true;
  bool nodev = true;
  bool noexec = false;
};

// A file system being configured. set() errors name the key; the kernel's own explanation (read
// from the context's log) is appended where it gives one.
class [[nodiscard]] FsContext {
 public:
  static Result<FsContext> create(std::string_view type);
  Result<> set(std::string_view key, std::string_view value);
  Result<> set_flag(std::string_view key);
  // FSCONFIG_CMD_CREATE + fsmount: a detached mount.
  Result<UniqueFd> mount(const MountFlags& flags);
  // The context of a file system that is mounted already, for new settings (fspick).
  static Result<FsContext> pick(int mount);
  Result<> reconfigure();

 private:
  explicit FsContext(UniqueFd fd, std::string_view type) : fd_(std::move(fd)), type_(type) {}
  Error failed(int error, std::string_view what) const;
  UniqueFd fd_;
  std::string type_;
};

// A detached copy of the tree at `dir`/`path` (with the mounts below it when recursive).
Result<UniqueFd> clone_tree(int dir, std::string_view path, bool recursive);
// Changes flags of a mount (all below it when recursive); only ever adds restrictions here.
Result<> restrict_mount(int mount, const MountFlags& flags, bool recursive);
// Shows ids through the mapping of a user namespace (MOUNT_ATTR_IDMAP). On a detached mount only.
Result<> idmap_mount(int mount, int user_namespace);
// Attaches a detached mount on top of `dir`/`path`; symlinks in the last component are not
// followed.
Result<> attach_mount(int mount, int dir, std::string_view path);
Result<> unmount(std::string_view path, bool detach);
Result<> make_private(std::string_view path);  // recursively
// Is it the top of a mount?
Result<bool> is_mount_root(int fd);
// Which mount it lies in, by the kernel's number. Never the same for two that are there at once.
Result<std::uint64_t> mount_id(int fd);
bool is_read_only(int fd);  // statvfs ST_RDONLY

}  // namespace tare::sys
