// The runner that a sandbox shows at /opt/tare/runner: its files, its folders, the mount, and the
// process that executes it.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "attack.h"

namespace tare::attack {

namespace {

constexpr const char* kRunner = "/opt/tare/runner";
constexpr const char* kFile = "/opt/tare/runner/main.sh";
constexpr const char* kInside = "/opt/tare/runner/lib/code.py";
constexpr const char* kMine = "/tmp/mine";

void write_files() {
  for (const char* file : {kFile, kInside}) {
    const std::string name = file;
    for (const auto& [how, flags] : {std::pair("write", O_WRONLY),
                                     {"read and write", O_RDWR},
                                     {"append", O_WRONLY | O_APPEND},
                                     {"truncate on opening", O_WRONLY | O_TRUNC},
                                     {"create", O_WRONLY | O_CREAT}}) {
      report_fd(std::string(how) + " " + name, ::open(file, flags | O_CLOEXEC, 0600));
    }
    report("truncate " + name, ::truncate(file, 0));
    report("chmod " + name, ::chmod(file, 0777));
    report("chown " + name, ::chown(file, ::getuid(), ::getgid()));
    report("utimes of " + name, ::utimensat(AT_FDCWD, file, nullptr, 0));
    for (const char* attribute : {"user.x", "trusted.overlay.opaque", "user.overlay.redirect",
                                  "security.capability", "system.posix_acl_access"}) {
      report("set " + std::string(attribute) + " of " + name,
             ::setxattr(file, attribute, "x", 1, 0));
    }
    report("unlink " + name, ::unlink(file));
    report("rename " + name, ::rename(file, "/tmp/moved"));
    report("rename over " + name, ::rename(kMine, file));
    report("exchange with " + name,
           raw(SYS_renameat2, AT_FDCWD, address(kMine), AT_FDCWD, address(file), RENAME_EXCHANGE));
    report("link out of " + name, ::link(file, "/tmp/linked"));
  }
}

// By a descriptor that may be read, and what is made of it.
void through_descriptors() {
  const int fd = ::open(kFile, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return report("the runner can be read", 0);
  const std::string own = "/proc/self/fd/" + std::to_string(fd);
  report_fd("reopen for writing", ::open(own.c_str(), O_WRONLY | O_CLOEXEC));
  report("write to a descriptor for reading", ::write(fd, "x", 1));
  report("ftruncate", ::ftruncate(fd, 0));
  report("fallocate", ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
  report("fchmod", ::fchmod(fd, 0777));
  report("fchown", ::fchown(fd, ::getuid(), ::getgid()));
  int flags = 0;
  for (const int wanted : {0, FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NODUMP_FL}) {
    flags = wanted;
    report("chattr " + std::to_string(wanted), ::ioctl(fd, FS_IOC_SETFLAGS, &flags));
  }
  fsxattr attributes = {};
  report("chattr, the newer way", ::ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
  const int mine = ::open(kMine, O_RDWR | O_CLOEXEC);
  report("clone over", ::ioctl(fd, FICLONE, mine));
  off_t at = 0;
  report("copy_file_range over", ::copy_file_range(mine, &at, fd, nullptr, 1, 0));
  ::close(mine);
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  report("map for writing", page == MAP_FAILED ? -1 : 0);
  void* shared = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  report("make a map writable", ::mprotect(shared, 4096, PROT_READ | PROT_WRITE));
  ::close(fd);
}

void in_folders() {
  for (const std::string folder : {"/opt/tare/runner", "/opt/tare/runner/lib"}) {
    const std::string inside = folder + "/new";
    report_fd("create in " + folder, ::open(inside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    report_fd("unnamed file in " + folder,
              ::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
    report("mkdir in " + folder, ::mkdir(inside.c_str(), 0700));
    report("symlink in " + folder, ::symlink("/tmp", inside.c_str()));
    report("mknod in " + folder, ::mknod(inside.c_str(), S_IFREG | 0600, 0));
    report("link into " + folder, ::link(kMine, inside.c_str()));
    report("chmod " + folder, ::chmod(folder.c_str(), 0777));
    report("rmdir " + folder, ::rmdir(folder.c_str()));
  }
  // What it hangs on: who could move that could put a folder of their own in its place.
  for (const std::string folder : {"/opt/tare/runner", "/opt/tare", "/opt"}) {
    report("rename " + folder, ::rename(folder.c_str(), "/tmp/moved"));
    report("rename beside " + folder, ::rename(folder.c_str(), (folder + ".old").c_str()));
    report("exchange " + folder, raw(SYS_renameat2, AT_FDCWD, address("/tmp/folder"), AT_FDCWD,
                                     address(folder.c_str()), RENAME_EXCHANGE));
    report("unlink " + folder, ::unlink(folder.c_str()));
  }
}

void mount_it() {
  report("remount rw", ::mount(nullptr, kRunner, nullptr, MS_REMOUNT | MS_BIND, nullptr));
  report("bind over", ::mount("/tmp", kRunner, nullptr, MS_BIND, nullptr));
  report("bind over a file", ::mount(kMine, kFile, nullptr, MS_BIND, nullptr));
  report("overlay over", ::mount("none", kRunner, "overlay", 0,
                                 "lowerdir=/opt/tare/runner,upperdir=/tmp/u,workdir=/tmp/w"));
  report("tmpfs over", ::mount("none", kRunner, "tmpfs", 0, nullptr));
  report("make shared", ::mount(nullptr, kRunner, nullptr, MS_SHARED, nullptr));
  report("move", ::mount(kRunner, "/mnt", nullptr, MS_MOVE, nullptr));
  for (const int flags : {0, static_cast<int>(MNT_DETACH), static_cast<int>(MNT_FORCE)})
    report("umount " + std::to_string(flags), ::umount2(kRunner, flags));
  report("open_tree", raw(428, AT_FDCWD, address(kRunner), 1));
  report("fsopen overlay", raw(430, address("overlay"), 0));
  report("fspick", raw(433, AT_FDCWD, address(kRunner), 0));
  std::array<std::uint64_t, 4> attributes = {0, MOUNT_ATTR_RDONLY, 0, 0};
  report("mount_setattr", raw(442, AT_FDCWD, address(kRunner), 0, address(attributes.data()), 32));
  report_child("a user namespace of one's own, and then", [] {
    if (::syscall(SYS_unshare, 0x10000000 | 0x00020000) != 0) return errno;
    return ::umount2(kRunner, MNT_DETACH) == 0 ? 0 : errno;
  });
  std::array<char, 136> handle = {64};
  int mount_id = 0;
  report("name_to_handle_at", raw(SYS_name_to_handle_at, AT_FDCWD, address(kFile),
                                  address(handle.data()), address(&mount_id), 0));
  handle[4] = 1;
  report("open_by_handle_at", raw(SYS_open_by_handle_at, AT_FDCWD, address(handle.data()), 2));
}

}  // namespace

void attack_runner() {
  ::close(::open(kMine, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ::mkdir("/tmp/folder", 0700);
  write_files();
  through_descriptors();
  in_folders();
  mount_it();
}

// The process of the pid in /tmp/runner.pid, which executes the runner.
void attack_runner_process() {
  const std::string pid = text_of("/tmp/runner.pid");
  const int target = std::atoi(pid.c_str());
  if (target <= 1) return report("the pid is known", 0);
  report("ptrace attach", ::ptrace(PTRACE_ATTACH, target, nullptr, nullptr));
  report("ptrace seize", ::ptrace(PTRACE_SEIZE, target, nullptr, nullptr));
  char byte = 0;
  iovec ours = {&byte, 1}, theirs = {&byte, 1};
  report("process_vm_writev", ::process_vm_writev(target, &ours, 1, &theirs, 1, 0));
  report("process_vm_readv", ::process_vm_readv(target, &ours, 1, &theirs, 1, 0));
  const int pidfd = static_cast<int>(raw(SYS_pidfd_open, target, 0));
  report("pidfd_getfd", pidfd < 0 ? pidfd : raw(SYS_pidfd_getfd, pidfd, 1, 0));
  const std::string proc = "/proc/" + std::to_string(target) + "/";
  for (const char* file : {"mem", "environ", "maps", "fd/1", "exe", "root/opt", "cwd"})
    report_open(proc + file, std::string(file) == "mem" ? O_RDWR : O_RDONLY);
}

}  // namespace tare::attack
