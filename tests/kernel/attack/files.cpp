// Mounts, masks, the writable side of /proc, and ways out of the root by descriptor and by name.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <sstream>

#include "attack.h"

namespace tare::attack {

namespace {

struct MountAttributes {
  std::uint64_t set = 0, clear = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  std::uint64_t propagation = 0, user_namespace = 0;
};

std::vector<std::string> mount_points() {
  std::vector<std::string> points;
  std::istringstream lines(text_of("/proc/self/mountinfo"));
  std::string line;
  while (std::getline(lines, line)) {
    char point[4096];
    if (std::sscanf(line.c_str(), "%*s %*s %*s %*s %4095s", point) == 1) points.emplace_back(point);
  }
  return points;
}

void remount(const std::string& point) {
  const char* path = point.c_str();
  report("remount " + point, ::mount(nullptr, path, nullptr, MS_REMOUNT, nullptr));
  report("remount bind " + point, ::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND, nullptr));
  MountAttributes attributes;
  report("mount_setattr " + point,
         raw(442, AT_FDCWD, address(path), 0x8000, address(&attributes), sizeof attributes));
  report("umount " + point, ::umount2(path, MNT_DETACH));
  report("bind over " + point, ::mount("/tmp", path, nullptr, MS_BIND, nullptr));
  report("tmpfs over " + point, ::mount("none", path, "tmpfs", 0, nullptr));
  report("move " + point, ::mount(path, "/mnt", nullptr, MS_MOVE, nullptr));
  report("open_tree " + point, raw(428, AT_FDCWD, address(path), 1));
  report("fspick " + point, raw(433, AT_FDCWD, address(path), 0));
}

// Only what is read-only: a place of the sandbox's own may be written.
void write_read_only(const std::string& point) {
  struct statvfs status = {};
  struct stat file = {};
  if (::statvfs(point.c_str(), &status) != 0 || (status.f_flag & ST_RDONLY) == 0) return;
  if (::stat(point.c_str(), &file) != 0) return;
  if (!S_ISDIR(file.st_mode)) return;
  const std::string inside = point + "/made-by-attack";
  report_fd("create in " + point, ::open(inside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  report("mkdir in " + point, ::mkdir(inside.c_str(), 0700));
  report("symlink in " + point, ::symlink("/tmp", inside.c_str()));
  report("chmod " + point, ::chmod(point.c_str(), 0777));
  report("chown " + point, ::chown(point.c_str(), ::getuid(), ::getgid()));
  report("xattr on " + point, ::setxattr(point.c_str(), "user.x", "x", 1, 0));
  report("utimes of " + point, ::utimensat(AT_FDCWD, point.c_str(), nullptr, 0));
  report("rename " + point, ::rename(point.c_str(), "/tmp/moved"));
  for (const std::string& name : names_in(point)) {
    const std::string path = point + "/" + name;
    struct stat inner = {};  // another mount, perhaps a writable one
    if (::stat(path.c_str(), &inner) != 0 || inner.st_dev != file.st_dev) continue;
    report("unlink " + path, ::unlink(path.c_str()));
    report("chmod " + path, ::chmod(path.c_str(), 0777));
    report("rename over " + path, ::rename("/tmp/mine", path.c_str()));
  }
}

// As root inside may: its own processes, and what the kernel lets anybody write about itself.
bool is_own_process(const std::string& name) {
  return is_number(name) || name == "self" || name == "thread-self";
}

void write_all_below(const std::string& folder, int depth) {
  for (const std::string& name : names_in(folder)) {
    if (folder == "/proc" && is_own_process(name)) continue;
    const std::string path = folder + "/" + name;
    struct stat status = {};
    if (::lstat(path.c_str(), &status) != 0 || S_ISLNK(status.st_mode)) continue;
    if (S_ISDIR(status.st_mode)) {
      if (depth > 0) write_all_below(path, depth - 1);
      continue;
    }
    const bool masked = S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(1, 3);
    if (!masked) report_fd("write " + path, ::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  }
}

void out_of(int fd, const std::string& name) {
  struct stat root = {};
  struct stat reached = {};
  ::stat("/", &root);
  const std::string up = "../../../../../../../../../../../../../..";
  if (::fstatat(fd, up.c_str(), &reached, 0) != 0) return report("above " + name, -1);
  const bool inside = root.st_dev == reached.st_dev && root.st_ino == reached.st_ino;
  if (inside) {
    harmless("above " + name, "the root of the sandbox");
  } else {
    report("above " + name, 0);
  }
}

}  // namespace

void attack_mounts() {
  ::close(::open("/tmp/mine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  for (const std::string& point : mount_points()) {
    remount(point);
    write_read_only(point);
  }
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/urandom"}) {
    report(std::string("replace ") + path, ::rename("/tmp/mine", path));
    report(std::string("link over ") + path, ::symlink("/proc/sysrq-trigger", path));
    report(std::string("chmod ") + path, ::chmod(path, 0));
    report(std::string("utimes of ") + path, ::utimensat(AT_FDCWD, path, nullptr, 0));
    report(std::string("xattr on ") + path, ::setxattr(path, "trusted.x", "x", 1, 0));
  }
  for (const char* path : {"/dev/console", "/dev/pts/0", "/dev/pts/5", "/dev/kmsg"}) {
    report_fd(std::string("make ") + path,
              ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    report(std::string("link ") + path, ::symlink("/proc/sys/kernel/core_pattern", path));
  }
}

void attack_proc() { write_all_below("/proc", 8); }

// What tells of the host, or changes it (ATTACKS.md S14, S19, S20).
constexpr const char* kSecrets[] = {
    "/proc/locks",
    "/proc/kcore",
    "/proc/kallsyms",
    "/proc/kmsg",
    "/proc/keys",
    "/proc/key-users",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
    "/proc/modules",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/kpagecgroup",
    "/proc/pressure/cpu",
    "/proc/cgroups",
    "/proc/cmdline",
    "/proc/diskstats",
    "/proc/partitions",
    "/proc/swaps",
    "/proc/mdstat",
    "/proc/interrupts",
    "/proc/softirqs",
    "/proc/schedstat",
    "/proc/buddyinfo",
    "/proc/zoneinfo",
    "/proc/fs",
    "/proc/spl",
    "/proc/bus",
    "/proc/irq",
    "/proc/dynamic_debug",
    "/proc/acpi/wakeup",
    "/proc/scsi/scsi",
    "/proc/sysrq-trigger",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/memory/release_agent",
    "/sys/class/powercap",
    "/sys/class/thermal",
    "/sys/devices/virtual/dmi/id/product_uuid",
    "/proc/2/root/etc/shadow",
    "/etc/shadow",
    "/etc/machine-id",
    "/root/.ssh",
    "/var/lib/tare",
    "/var/lib/dpkg",
    "/home/agent/../root",
};

// A masked file is there, and empty.
void attack_secrets() {
  for (const char* path : kSecrets) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
      report(std::string("read ") + path, fd);
      continue;
    }
    char byte = 0;
    struct stat status = {};
    ::fstat(fd, &status);
    const bool empty = S_ISDIR(status.st_mode) ? names_in(path).empty() : ::read(fd, &byte, 1) <= 0;
    ::close(fd);
    if (empty) {
      harmless(std::string("read ") + path, "empty");
    } else {
      report(std::string("read ") + path, 0);
    }
  }
  const std::string mounts = text_of("/proc/self/mountinfo");
  for (const char* type : {" - cgroup", " - sysfs", " - debugfs", " - tracefs", " - securityfs",
                           " - bpf", " - fuse", " - binfmt_misc", " - configfs", " - devtmpfs"}) {
    errno = ENOENT;
    report(std::string("a mount of") + type, mounts.find(type) == std::string::npos ? -1 : 0);
  }
}

void attack_descriptors() {
  const std::vector<std::string> open = names_in("/proc/self/fd");
  if (open.empty()) report("its descriptors are not listed", 0);
  for (const std::string& fd : open) {
    const int number = std::stoi(fd);
    if (number > 2 && ::fcntl(number, F_GETFD) >= 0) report("descriptor " + fd, 0);
  }
  out_of(AT_FDCWD, "the working folder");
  for (const char* path : {"/", "/proc/self/root", "/proc/self/cwd", "/proc/self/fd", "/dev",
                           "/usr", "/output", "/proc/thread-self/root"})
    out_of(::open(path, O_PATH | O_CLOEXEC), path);
  // The working folder itself removed, and the root left behind by it.
  ::mkdir("/tmp/gone", 0700);
  if (::chdir("/tmp/gone") == 0 && ::rmdir("/tmp/gone") == 0) out_of(AT_FDCWD, "a removed folder");
  if (::chdir("/") != 0) report("chdir", 0);
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  report("openat2 above a scope", [&how] {
    how.resolve = RESOLVE_BENEATH;
    return raw(SYS_openat2, AT_FDCWD, address("../etc"), address(&how), sizeof how);
  }());
  report("chroot", ::chroot("/tmp"));
  report("pivot_root", raw(SYS_pivot_root, address("/tmp"), address("/tmp")));
  for (const char* path : {"/proc/self/exe", "/usr/bin/true", "/lib64/ld-linux-x86-64.so.2"})
    report_open(path, O_WRONLY);
  file_handle* none = nullptr;
  int mount_id = 0;
  report("name_to_handle_at",
         raw(SYS_name_to_handle_at, AT_FDCWD, address("/"), address(none), address(&mount_id), 0));
  std::array<char, 64> handle = {8, 0, 0, 0, 1, 0, 0, 0, 2};  // the inode that a root often has
  report("open_by_handle_at", raw(SYS_open_by_handle_at, AT_FDCWD, address(handle.data()), 0));
}

}  // namespace tare::attack
