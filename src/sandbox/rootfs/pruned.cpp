#include "sandbox/rootfs/pruned.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sys/entries.h"
#include "sys/files.h"
#include "sys/mountfs.h"
#include "sys/unshare.h"

namespace tare::sandbox {

namespace {

struct DeviceNode {
  const char* name;
  unsigned minor_number;
  unsigned major_number;
};
constexpr std::array<DeviceNode, 6> kDevices = {{
    {"null", 3, 1},
    {"zero", 5, 1},
    {"full", 7, 1},
    {"random", 8, 1},
    {"urandom", 9, 1},
    {"tty", 0, 5},
}};
struct Link {
  const char* target;
  const char* name;
};
constexpr std::array<Link, 5> kDeviceLinks = {{
    {"/proc/self/fd", "fd"},
    {"/proc/self/fd/0", "stdin"},
    {"/proc/self/fd/1", "stdout"},
    {"/proc/self/fd/2", "stderr"},
    {"pts/ptmx", "ptmx"},
}};

Result<sys::UniqueFd> make_devices(Powers powers) {
  sys::FsContext context = TRY(sys::FsContext::create("tmpfs"));
  TRY(context.set("size", "64k"));
  TRY(context.set("mode", "0755"));
  sys::UniqueFd mount = TRY(context.mount({.nodev = false, .noexec = true}));
  for (const DeviceNode& node : kDevices) {
    const dev_t device = ::makedev(node.major_number, node.minor_number);
    const bool real = powers == Powers::of_host;  // else a place to show the host's on
    if (::mknodat(mount.get(), node.name, real ? S_IFCHR | 0666 : S_IFREG, device) != 0)
      return sys_error(errno, "mknod");
    if (real && ::fchmodat(mount.get(), node.name, 0666, 0) != 0)
      return sys_error(errno, "chmod device");
  }
  for (const Link& link : kDeviceLinks) {
    if (::symlinkat(link.target, mount.get(), link.name) != 0)
      return sys_error(errno, "symlink device");
  }
  for (const char* folder : {"pts", "shm", "mqueue"})
    TRY(sys::make_dir_at(mount.get(), folder, 0755));
  return mount;
}

// A bind of one mount alone: what is mounted below it on the host stays out.
Result<> show(std::string_view from, int base, std::string_view at, const sys::MountFlags& flags) {
  const sys::UniqueFd tree = TRY(sys::clone_tree(sys::kCwd, from, false));
  TRY(sys::restrict_mount(tree.get(), flags, false));
  return sys::attach_mount(tree.get(), base, at);
}

Result<bool> is_own_mount(const std::string& path) {
  struct statx status = {};
  if (::statx(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT, STATX_TYPE, &status) != 0) {
    return sys_error(errno, "statx " + path);
  }
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<> show_host(int base) {
  const sys::MountFlags read_only = {.read_only = true};
  TRY(show("/", base, "host", read_only));
  for (const char* path : {"/usr", "/bin", "/sbin", "/lib", "/lib64"}) {
    struct stat status = {};
    if (::lstat(path, &status) != 0 || !S_ISDIR(status.st_mode)) continue;
    if (TRY(is_own_mount(path))) TRY(show(path, base, std::string("host") + path, read_only));
  }
  return ok();
}

// The folders on the way to the home that are mounts of their own (/var, /srv): without them its
// place would not be there.
Result<> show_way_to(int base, std::string_view home) {
  for (std::size_t slash = home.find('/', 1); slash != std::string_view::npos;
       slash = home.find('/', slash + 1)) {
    const std::string folder(home.substr(0, slash));
    if (TRY(is_own_mount(folder))) TRY(show(folder, base, "host" + folder, {.read_only = true}));
  }
  return ok();
}

// The same without the rights over the host's root: of it, what the skeleton looks at (skeleton.h).
Result<> show_parts_of_host(int base) {
  for (const std::string name : {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc"}) {
    const std::string path = "/" + name;
    const std::string at = "host/" + name;
    auto status = sys::stat_at(sys::kCwd, path);
    if (!status) continue;
    if (S_ISLNK(status->st_mode)) {
      TRY(sys::make_symlink_at(base, at, TRY(sys::read_link_at(sys::kCwd, path))));
    } else if (S_ISDIR(status->st_mode)) {
      const sys::UniqueFd tree = TRY(sys::clone_tree(sys::kCwd, path, true));
      TRY(sys::restrict_mount(tree.get(), {.read_only = true}, true));
      TRY(sys::make_dir_at(base, at, 0755));
      TRY(sys::attach_mount(tree.get(), base, at));
    }
  }
  return ok();
}

Result<> make_way_to(int base, const std::string& home) {
  for (std::size_t slash = home.find('/', 1);; slash = home.find('/', slash + 1)) {
    TRY(sys::ensure_dir_at(base, "host" + home.substr(0, slash), 0755));
    if (slash == std::string::npos) return ok();
  }
}

Result<> show_host_devices(int base) {
  for (const DeviceNode& node : kDevices) {
    const std::string name(node.name);
    const sys::UniqueFd device = TRY(sys::clone_tree(sys::kCwd, "/dev/" + name, false));
    TRY(sys::restrict_mount(device.get(), {.nodev = false, .noexec = true}, false));
    TRY(sys::attach_mount(device.get(), base, "dev/" + name));
  }
  return ok();
}

Result<> show_proc(int base, Powers powers) {
  if (powers == Powers::of_own_namespace) {
    const sys::UniqueFd hosts = TRY(sys::clone_tree(sys::kCwd, "/proc", true));
    return sys::attach_mount(hosts.get(), base, "proc");
  }
  sys::FsContext proc = TRY(sys::FsContext::create("proc"));
  const sys::UniqueFd fresh = TRY(proc.mount({.noexec = true}));
  return sys::attach_mount(fresh.get(), base, "proc");
}

Result<> switch_root(int base) {
  if (::fchdir(base) != 0) return sys_error(errno, "fchdir");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return sys_error(errno, "pivot_root");
  // The old root now lies on top of the new one, at ".": take it away.
  return sys::unmount(".", true);
}

}  // namespace

Result<> enter_pruned_namespace(std::string_view home, Powers powers) {
  TRY(sys::copy_mounts());
  TRY(sys::make_private("/"));
  const std::string base_path = std::string(home) + "/launcher/root";
  TRY(sys::ensure_dir_at(sys::kCwd, base_path, 0700));

  sys::FsContext context = TRY(sys::FsContext::create("tmpfs"));
  TRY(context.set("size", "1m"));
  TRY(context.set("mode", "0755"));
  const sys::UniqueFd base = TRY(context.mount({}));
  TRY(sys::attach_mount(base.get(), sys::kCwd, base_path));
  for (const char* folder : {"proc", "host", "stage", "dev"})
    TRY(sys::make_dir_at(base.get(), folder, 0755));

  TRY(show_proc(base.get(), powers));
  if (powers == Powers::of_host) {
    TRY(show_host(base.get()));
    TRY(show_way_to(base.get(), home));
  } else {
    TRY(show_parts_of_host(base.get()));
    TRY(make_way_to(base.get(), std::string(home)));
  }
  TRY(show(home, base.get(), std::string(kHostRoot.substr(1)) + std::string(home), {}));
  const sys::UniqueFd devices = TRY(make_devices(powers));
  TRY(sys::attach_mount(devices.get(), base.get(), "dev"));
  if (powers == Powers::of_own_namespace) TRY(show_host_devices(base.get()));
  return switch_root(base.get());
}

}  // namespace tare::sandbox
