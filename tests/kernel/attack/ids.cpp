// Capabilities, ids, set-id files, devices (ATTACKS.md S5, S27, S28), a terminal's input (S24).
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <grp.h>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "attack.h"

namespace tare::attack {

namespace {

void capabilities() {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    const std::string number = std::to_string(capability);
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data = {};
    auto& word = data[static_cast<std::size_t>(capability / 32)];
    word.effective = word.permitted = 1U << (capability % 32);
    report("capset " + number, raw(SYS_capset, address(&header), address(data.data())));
    word = {0, 0, 1U << (capability % 32)};
    report("capset inheritable " + number, raw(SYS_capset, address(&header), address(data.data())));
    report("ambient " + number, ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0));
    if (::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) > 0) report("bounding " + number, 0);
  }
  report("securebits", ::prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
  report("keepcaps then setuid",
         ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && ::setuid(12345) == 0 ? 0 : -1);
}

void ids() {
  const uid_t other = ::getuid() == 0 ? 1000 : 0;
  for (const uid_t id : {other, uid_t{65533}, uid_t{65534}}) {
    const std::string text = std::to_string(id);
    report("setuid " + text, ::setuid(id) == 0 ? 0 : -1);
    report("setresgid " + text, ::setresgid(id, id, id) == 0 ? 0 : -1);
    report("setfsuid " + text, [id] {
      (void)raw(SYS_setfsuid, id);
      errno = EPERM;
      return raw(SYS_setfsuid, -1) == static_cast<long>(id) ? 0L : -1L;
    }());
  }
  const gid_t group = 0;
  report("setgroups", ::setgroups(1, &group));
}

// What it is then says its exit status.
void execute_set_id(const char* path) {
  report_child(std::string(path) + " gains something", [path] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::execl(path, path, "ids-of", nullptr);
      ::_exit(99);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 99) return EIO;
    return WEXITSTATUS(status) == 0 ? EPERM : 0;
  });
}

// A copy of this program with every bit that could lift it.
void set_id_files() {
  constexpr const char* kCopy = "/tmp/set-id";
  const std::string self = text_of("/proc/self/exe");
  const int fd = ::open(kCopy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (fd < 0 || ::write(fd, self.data(), self.size()) != static_cast<ssize_t>(self.size()))
    return report_child("a copy of the program", [] { return EIO; });
  ::close(fd);
  report("chown to another user", ::chown(kCopy, ::getuid() == 0 ? 1000 : 0, 0));
  ::chmod(kCopy, 06755);
  std::array<char, 20> rights = {1, 0, 0, 2, '\377', '\377', '\377', '\377'};
  report("file capabilities", ::setxattr(kCopy, "security.capability", rights.data(), 20, 0));
  report("trusted xattr", ::setxattr(kCopy, "trusted.overlay.opaque", "y", 1, 0));
  execute_set_id(kCopy);
}

void devices() {
  struct Device {
    const char* name;
    mode_t type;
    unsigned major_number, minor_number;
  };
  for (const Device& device : std::initializer_list<Device>{{"mem", S_IFCHR, 1, 1},
                                                            {"kmsg", S_IFCHR, 1, 11},
                                                            {"null", S_IFCHR, 1, 3},
                                                            {"kvm", S_IFCHR, 10, 232},
                                                            {"fuse", S_IFCHR, 10, 229},
                                                            {"tun", S_IFCHR, 10, 200},
                                                            {"vda", S_IFBLK, 254, 0},
                                                            {"sda", S_IFBLK, 8, 0},
                                                            {"loop0", S_IFBLK, 7, 0},
                                                            {"whiteout", S_IFCHR, 0, 0}}) {
    for (const char* folder : {"/tmp/", "/dev/shm/", "/output/", "/dev/", "/home/agent/"}) {
      const std::string path = std::string(folder) + device.name;
      const dev_t number = ::makedev(device.major_number, device.minor_number);
      report("mknod " + path, ::mknod(path.c_str(), device.type | 0666, number));
      report("mknodat " + path, ::mknodat(AT_FDCWD, path.c_str(), device.type | 0666, number));
    }
    const std::string path = std::string("/dev/") + device.name;
    if (device.minor_number != 3 || device.major_number != 1) report_open(path, O_RDONLY);
  }
}

}  // namespace

void attack_ids() {
  capabilities();
  ids();
  set_id_files();
  devices();
}

int ids_of_itself() {
  const std::string status = text_of("/proc/self/status");
  const std::string permitted = "\nCapPrm:\t";
  const std::size_t at = status.find(permitted);
  const bool none = at != std::string::npos &&
                    std::stoull(status.substr(at + permitted.size()), nullptr, 16) == 0;
  return ::getuid() == ::geteuid() && ::getgid() == ::getegid() && none ? 0 : 65;
}

void attack_set_id() { execute_set_id("/bin/set-id"); }

// On a terminal of its own: the calls that put characters where somebody else's shell reads.
void attack_terminal() {
  const int ptmx = ::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (ptmx < 0 || ::grantpt(ptmx) != 0 || ::unlockpt(ptmx) != 0) return report("a terminal", 0);
  const int slave = ::open(::ptsname(ptmx), O_RDWR | O_CLOEXEC);
  ::setsid();
  ::ioctl(slave, TIOCSCTTY, 0);
  const char key = 'x';
  for (const int fd : {0, 1, 2, ptmx, slave}) {
    const std::string name = " on " + std::to_string(fd);
    report("TIOCSTI" + name, ::ioctl(fd, TIOCSTI, &key));
    report("TIOCLINUX" + name, ::ioctl(fd, TIOCLINUX, "\3"));
    // The filter sees all 64 bits, the kernel 32.
    report("TIOCSTI with high bits" + name,
           raw(SYS_ioctl, fd, static_cast<long>(0x1'0000'0000UL | TIOCSTI), address(&key)));
    report(
        "TIOCLINUX with high bits" + name,
        raw(SYS_ioctl, fd, static_cast<long>(0xFFFF'FFFF'0000'0000UL | TIOCLINUX), address("\3")));
  }
  report_open("/dev/tty0", O_RDWR);
  report_open("/dev/tty1", O_RDWR);
  report_open("/dev/console", O_RDWR);
  report_open("/dev/vcs", O_RDONLY);
}

}  // namespace tare::attack
