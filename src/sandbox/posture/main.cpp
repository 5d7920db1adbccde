// tare-posture: says, as plain lines, all that a program inside a sandbox has and can reach: ids,
// capabilities, namespaces, descriptors, limits, mounts, processes, what can be written, what /proc
// and /sys give (kernel_files.h), devices, network, keyrings, the environment, and how dangerous
// system calls are answered. Run inside by the tests, which compare the lines with reviewed files
// (tests/golden/posture_*.txt). Static; changes nothing but /tmp.
//
// Source: proc(5), capabilities(7), namespaces(7), credentials(7), keyrings(7).
#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "sandbox/posture/kernel_files.h"
#include "sandbox/posture/lines.h"
#include "sandbox/posture/network.h"

namespace tare::sandbox::posture {
namespace {

void status_lines() {
  for (const std::string& line : read_lines("/proc/self/status")) {
    for (const char* key : {"Uid:", "Gid:", "Groups:", "Umask:", "NStgid:", "NSsid:", "TracerPid:",
                            "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:",
                            "Seccomp:", "Seccomp_filters:", "CoreDumping:", "SigBlk:", "SigIgn:"}) {
      if (line.rfind(key, 0) != 0) continue;
      std::string text = line;
      std::replace(text.begin(), text.end(), '\t', ' ');
      say("status " + text);
    }
  }
  say("securebits " + std::to_string(::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)));
  say("dumpable " + std::to_string(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)));
  for (const char* file : {"oom_score_adj", "uid_map", "gid_map", "setgroups", "sessionid"}) {
    for (const std::string& line : read_lines(std::string("/proc/self/") + file)) {
      std::string text = line;
      // The middle number of a map is the host's and another one each time.
      if (std::strstr(file, "_map") != nullptr) {
        unsigned inside = 0;
        unsigned outside = 0;
        unsigned count = 0;
        std::sscanf(line.c_str(), "%u %u %u", &inside, &outside, &count);
        text = std::to_string(inside) + (outside >= 0x70000000U ? " own " : " HOST ") +
               std::to_string(count);
      }
      say(std::string(file) + " " + text);
    }
  }
}

void namespace_lines() {
  for (const std::string& name : names_in("/proc/self/ns"))
    say("namespace " + name + " " + link_of("/proc/self/ns/" + name));
}

void descriptor_lines() {
  for (const std::string& fd : names_in("/proc/self/fd")) {
    std::string what = link_of("/proc/self/fd/" + fd);
    if (what == "?") continue;  // the one that listed them
    if (what.rfind("pipe:", 0) == 0) what = "pipe";
    say("descriptor " + fd + " " + what);
  }
}

void limit_lines() {
  for (const std::string& line : read_lines("/proc/self/limits")) {
    std::string text;
    for (const char c : line) {
      if (c != ' ' || text.empty() || text.back() != ' ') text += c;
    }
    say("limit " + text);
  }
}

// Of the optional fields in the midst of a line of mountinfo, without the numbers of the groups.
std::string propagation_of(const std::string& line, std::size_t dash) {
  std::string out;
  if (line.rfind(" shared:", dash) != std::string::npos) out += " shared";
  if (line.rfind(" master:", dash) != std::string::npos) out += " slave";
  if (line.rfind(" unbindable", dash) != std::string::npos) out += " unbindable";
  return out.empty() ? " private" : out;
}

// Mount point, type, flags and propagation; not the sizes and layers, which are the limits' and the
// image's.
void mount_lines() {
  Lines lines;
  for (const std::string& line : read_lines("/proc/self/mountinfo")) {
    char point[4096];
    char flags[1024];
    if (std::sscanf(line.c_str(), "%*s %*s %*s %*s %4095s %1023s", point, flags) != 2) continue;
    const std::size_t dash = line.find(" - ");
    const std::string type = line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
    lines.push_back(std::string("mount ") + point + " " + type + " " + flags +
                    propagation_of(line, dash));
  }
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) say(line);
}

void process_lines() {
  for (const std::string& name : names_in("/proc")) {
    if (!is_number(name)) continue;
    const Lines comm = read_lines("/proc/" + name + "/comm");
    say("process " + name + " " + (comm.empty() ? "?" : comm[0]));
  }
}

struct Entry {
  std::string name;
  bool folder = false, writable = false;
};

// Sorted, without symlinks. By few calls: the /usr of a host has 100,000 of them.
std::vector<Entry> entries_in(const std::string& folder) {
  std::vector<Entry> entries;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return entries;
  while (const dirent* found = ::readdir(dir)) {
    const std::string name = found->d_name;
    struct stat status = {};
    unsigned type = found->d_type;
    if (type == DT_UNKNOWN &&
        ::fstatat(::dirfd(dir), found->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
      type = IFTODT(status.st_mode);
    if (name == "." || name == ".." || type == DT_LNK) continue;
    entries.push_back(
        {name, type == DT_DIR, ::faccessat(::dirfd(dir), name.c_str(), W_OK, 0) == 0});
  }
  ::closedir(dir);
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

// Everything that can be written, from the root down. /proc and /sys: kernel_file_lines().
void writable_lines(const std::string& folder) {
  for (const Entry& entry : entries_in(folder)) {
    const std::string path = folder + (folder == "/" ? "" : "/") + entry.name;
    if (path == "/proc" || path == "/sys") continue;
    struct stat status = {};
    const bool null = entry.writable && ::lstat(path.c_str(), &status) == 0 &&
                      S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(1, 3);
    if (entry.writable && (!null || folder == "/dev")) say("writable " + path);
    // What lies below a folder of its own is its own, too.
    if (entry.folder && !entry.writable) writable_lines(path);
  }
}

void device_lines() {
  for (const std::string& name : names_in("/dev")) {
    struct stat status = {};
    if (::lstat(("/dev/" + name).c_str(), &status) != 0) continue;
    std::string what = "file";
    if (S_ISDIR(status.st_mode)) what = "folder";
    if (S_ISLNK(status.st_mode)) what = "-> " + link_of("/dev/" + name);
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
      what = std::string(S_ISCHR(status.st_mode) ? "character " : "BLOCK ") +
             std::to_string(major(status.st_rdev)) + ":" + std::to_string(minor(status.st_rdev));
    }
    say("device " + name + " " + what);
  }
}

// The one that controls its session.
void terminal_line() {
  const int terminal = ::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return say(std::string("terminal ") + ::strerrorname_np(errno));
  const bool foreground = ::tcgetpgrp(terminal) == ::getpgrp();
  ::close(terminal);
  say(foreground ? "terminal in its foreground" : "terminal in its background");
}

struct Call {
  const char* name;
  long number;
  long arguments[6];
};

// With arguments that would do no harm if they were let through.
rlimit core_limit;
const Call kCalls[] = {
    {"unshare(NEWUSER)", SYS_unshare, {0x10000000}},
    {"unshare(NEWNS)", SYS_unshare, {0x00020000}},
    {"setns", SYS_setns, {-1, 0}},
    {"mount", SYS_mount, {0, 0, 0, 0, 0}},
    {"umount2", SYS_umount2, {0, 0}},
    {"pivot_root", SYS_pivot_root, {0, 0}},
    {"open_tree", 428, {-1, 0, 0}},
    {"move_mount", 429, {-1, 0, -1, 0, 0}},
    {"fsopen", 430, {0, 0}},
    {"fspick", 433, {-1, 0, 0}},
    {"mount_setattr", 442, {-1, 0, 0, 0, 0}},
    {"clone3", SYS_clone3, {0, 0}},
    {"bpf", SYS_bpf, {0, 0, 0}},
    {"perf_event_open", SYS_perf_event_open, {0, 0, -1, -1, 0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"io_uring_setup", 425, {0, 0}},
    {"keyctl", SYS_keyctl, {0, -3, 0}},
    {"add_key", SYS_add_key, {0, 0, 0, 0, -3}},
    {"request_key", SYS_request_key, {0, 0, 0, -3}},
    {"ptrace", SYS_ptrace, {16, 1, 0, 0}},
    {"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 0}},
    {"kcmp", SYS_kcmp, {1, 1, 0, 0, 0}},
    {"pidfd_getfd", 438, {-1, 0, 0}},
    {"init_module", SYS_init_module, {0, 0, 0}},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, 0}},
    {"reboot", SYS_reboot, {0, 0, 0, 0}},
    {"swapon", SYS_swapon, {0, 0}},
    {"acct", SYS_acct, {0}},
    {"quotactl", SYS_quotactl, {0, 0, 0, 0}},
    {"sethostname", SYS_sethostname, {0, 0}},
    {"settimeofday", SYS_settimeofday, {0, 0}},
    {"clock_adjtime", SYS_clock_adjtime, {0, 0}},
    {"open_by_handle_at", SYS_open_by_handle_at, {-1, 0, 0}},
    {"iopl", SYS_iopl, {3}},
    {"syslog", SYS_syslog, {3, 0, 0}},
    {"fanotify_init", SYS_fanotify_init, {0, 0}},
    {"mknod(block)", SYS_mknod, {reinterpret_cast<long>("/tmp/b"), S_IFBLK | 0600, 0x800}},
    {"personality(x)", SYS_personality, {0x0400000}},
    {"chroot", SYS_chroot, {0}},
    {"ioctl(SIOCGIFBR)", SYS_ioctl, {-1, 0x8940}},
    {"ioctl(SIOCGIFVLAN)", SYS_ioctl, {-1, 0x8982}},
    {"madvise(MERGEABLE)", SYS_madvise, {0, 0, 12}},
    {"prctl(MEMORY_MERGE)", SYS_prctl, {67, 1, 0, 0, 0}},
    {"prlimit(CORE)", SYS_prlimit64, {0, 4, 0, reinterpret_cast<long>(&core_limit)}},
    {"prlimit(CORE,both)",
     SYS_prlimit64,
     {0, 4, reinterpret_cast<long>(&core_limit), reinterpret_cast<long>(&core_limit)}},
    {"setsockopt(TCP_ULP)", SYS_setsockopt, {-1, 6, 31, 0, 0}},
    {"setsockopt(TCP_AO)", SYS_setsockopt, {-1, 6, 38, 0, 0}},
    {"socket(UNIX)", SYS_socket, {1, 1, 0}},
    {"socket(INET)", SYS_socket, {2, 1, 0}},
    {"socket(INET,datagram)", SYS_socket, {2, 2, 0}},
    {"socket(NETLINK,route)", SYS_socket, {16, 3, 0}},
    {"socket(PACKET)", SYS_socket, {17, 3, 0}},
    {"socket(NETLINK,audit)", SYS_socket, {16, 3, 9}},
    {"socket(VSOCK)", SYS_socket, {40, 1, 0}},
    {"socket(ALG)", SYS_socket, {38, 5, 0}},
    {"socket(RAW)", SYS_socket, {2, 3, 1}},
    {"setpriority(PID1)", SYS_setpriority, {0, 1, 0}},
    {"prlimit(PID1)", SYS_prlimit64, {1, 7, 0, reinterpret_cast<long>(&kCalls)}},
    {"sched_setaffinity(PID1)", SYS_sched_setaffinity, {1, 8, reinterpret_cast<long>("\1")}},
    {"kill(PID1)", SYS_kill, {1, 0}},
};

void call_lines() {
  for (const Call& call : kCalls) {
    const long* a = call.arguments;
    const long done = ::syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
    say(std::string("call ") + call.name + " " + (done < 0 ? ::strerrorname_np(errno) : "ALLOWED"));
  }
}

// Those that a process has, or would be given by asking; and what the kernel lists of keys.
void keyring_lines() {
  constexpr int kGetId = 0;  // KEYCTL_GET_KEYRING_ID, and its special ids
  static const char* const names[] = {"thread", "process", "session", "user", "user-session"};
  for (long i = 0; i < 5; ++i) {
    const long id = ::syscall(SYS_keyctl, kGetId, -1 - i, 0);
    say(std::string("keyring ") + names[i] + " " + (id < 0 ? ::strerrorname_np(errno) : "ITS ID"));
  }
  for (const char* list : {"/proc/keys", "/proc/key-users"}) {
    const std::size_t keys = read_lines(list).size();
    say(std::string("keyring ") + list + " " + std::to_string(keys) + " lines");
  }
}

void environment_lines(char** environment) {
  Lines variables;
  for (; *environment != nullptr; ++environment) variables.push_back(*environment);
  std::sort(variables.begin(), variables.end());
  for (const std::string& variable : variables) say("variable " + variable);
}

// How many Landlock domains this process is in: the kernel allows 16, one in another.
void landlock_line() {
  constexpr int kMostDomains = 16;
  const std::uint64_t rights = 1;
  const int ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rights, 8, 0));
  if (ruleset < 0) return say("landlock none");
  const pid_t child = ::fork();
  if (child == 0) {
    int more = 0;
    while (more < kMostDomains && ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0) ++more;
    ::_exit(kMostDomains - more);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ruleset);
  say("landlock " + std::to_string(WEXITSTATUS(status)));
}

}  // namespace

void say_all(char** environment) {
  char cwd[4096];
  say(std::string("cwd ") + (::getcwd(cwd, sizeof cwd) != nullptr ? cwd : "?"));
  say("parent " + std::to_string(::getppid()));
  say("session " + std::to_string(::getsid(0) == ::getpid() ? 0 : 1));
  terminal_line();
  say("nice " + std::to_string(::getpriority(PRIO_PROCESS, 0)));
  status_lines();
  namespace_lines();
  descriptor_lines();
  limit_lines();
  mount_lines();
  process_lines();
  writable_lines("/");
  kernel_file_lines();
  device_lines();
  network_lines();
  keyring_lines();
  landlock_line();
  call_lines();
  environment_lines(environment);
}

}  // namespace tare::sandbox::posture

int main(int, char**, char** environment) {
  tare::sandbox::posture::say_all(environment);
  return 0;
}
