// Sandbox root against PID 1: what it can be asked for by number, and what is in its folder.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "attack.h"

namespace tare::attack {

namespace {

constexpr std::array<int, 16> kResources = {
    RLIMIT_CPU,      RLIMIT_FSIZE,  RLIMIT_DATA,    RLIMIT_STACK, RLIMIT_CORE,  RLIMIT_RSS,
    RLIMIT_NPROC,    RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS,    RLIMIT_LOCKS, RLIMIT_SIGPENDING,
    RLIMIT_MSGQUEUE, RLIMIT_NICE,   RLIMIT_RTPRIO,  RLIMIT_RTTIME};

// ioprio_set(2): IOPRIO_WHO_PROCESS, IOPRIO_CLASS_IDLE in its place. linux/ioprio.h is no C++ in
// Debian's linux-libc-dev 6.1.192: an inline function has a parameter `class`.
constexpr int kWhoProcess = 1;
constexpr int kIdleClass = 3 << 13;

struct SchedAttributes {
  std::uint32_t size = 48, policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 19;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

void limits_and_priorities() {
  for (const int resource : kResources) {
    rlimit64 limit = {1, 1};
    const std::string number = std::to_string(resource);
    report("prlimit set " + number, raw(SYS_prlimit64, 1, resource, address(&limit), 0));
    report("prlimit get " + number, raw(SYS_prlimit64, 1, resource, 0, address(&limit)));
  }
  report("setpriority", ::setpriority(PRIO_PROCESS, 1, 19));
  report("ioprio_set", raw(SYS_ioprio_set, kWhoProcess, 1, kIdleClass));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  report("sched_setaffinity", ::sched_setaffinity(1, sizeof one, &one));
  const sched_param none = {0};
  report("sched_setscheduler idle", ::sched_setscheduler(1, SCHED_IDLE, &none));
  const sched_param high = {1};
  report("sched_setscheduler fifo", ::sched_setscheduler(1, SCHED_FIFO, &high));
  report("sched_setparam", ::sched_setparam(1, &none));
  SchedAttributes attributes;
  report("sched_setattr", raw(SYS_sched_setattr, 1, address(&attributes), 0));
}

void signals() {
  for (int signal = 0; signal <= 64; ++signal)
    report("kill " + std::to_string(signal), raw(SYS_kill, 1, signal));
  report("tkill", raw(SYS_tkill, 1, SIGKILL));
  report("tgkill", raw(SYS_tgkill, 1, 1, SIGKILL));
  siginfo_t info = {};
  info.si_code = SI_QUEUE;
  report("rt_sigqueueinfo", raw(SYS_rt_sigqueueinfo, 1, SIGRTMIN, address(&info)));
  report("rt_tgsigqueueinfo", raw(SYS_rt_tgsigqueueinfo, 1, 1, SIGRTMAX, address(&info)));
  const int pidfd = static_cast<int>(raw(SYS_pidfd_open, 1, 0));
  if (pidfd < 0) return report("pidfd_open", pidfd);
  for (const int signal : {SIGKILL, SIGTERM, SIGSTOP, SIGCHLD, SIGRTMIN})
    report("pidfd_send_signal " + std::to_string(signal),
           raw(SYS_pidfd_send_signal, pidfd, signal, 0, 0));
  for (int fd = 0; fd < 16; ++fd)
    report("pidfd_getfd " + std::to_string(fd), raw(SYS_pidfd_getfd, pidfd, fd, 0));
  report("setns of a pidfd", raw(SYS_setns, pidfd, 0x00020000));
  report("process_madvise", raw(SYS_process_madvise, pidfd, 0, 0, 21, 0));
  report("process_mrelease", raw(SYS_process_mrelease, pidfd, 0));
  ::close(pidfd);
}

void memory() {
  for (const int request : {static_cast<int>(PTRACE_ATTACH), static_cast<int>(PTRACE_SEIZE),
                            static_cast<int>(PTRACE_PEEKDATA)})
    report("ptrace " + std::to_string(request), raw(SYS_ptrace, request, 1, 0, 0));
  char byte = 0;
  iovec local = {&byte, 1};
  iovec remote = {reinterpret_cast<void*>(0x400000), 1};
  report("process_vm_readv", ::process_vm_readv(1, &local, 1, &remote, 1, 0));
  report("process_vm_writev", ::process_vm_writev(1, &local, 1, &remote, 1, 0));
  report("kcmp", raw(SYS_kcmp, 1, ::getpid(), 0, 0, 0));
  report("move_pages", raw(SYS_move_pages, 1, 0, 0, 0, 0, 0));
  report("migrate_pages", raw(SYS_migrate_pages, 1, 0, 0, 0));
  std::array<long, 2> list = {};
  report("get_robust_list", raw(SYS_get_robust_list, 1, address(&list[0]), address(&list[1])));
}

struct Word {
  const char* name;
  const char* word;
};
// What can be written in a process's folder, with something that the kernel would take.
constexpr std::array<Word, 21> kWords = {{
    {"attr/current", "x"},    {"attr/exec", "x"},      {"autogroup", "19"},
    {"clear_refs", "1"},      {"comm", "mine"},        {"mem", "x"},
    {"coredump_filter", "0"}, {"fail-nth", "1"},       {"gid_map", "0 0 1"},
    {"latency", "0"},         {"loginuid", "0"},       {"make-it-fail", "1"},
    {"oom_adj", "15"},        {"projid_map", "0 0 1"}, {"oom_score_adj", "1000"},
    {"sched", "0"},           {"setgroups", "deny"},   {"uid_map", "0 0 1"},
    {"timerslack_ns", "1"},   {"task/1/comm", "mine"}, {"timens_offsets", "monotonic 1 0"},
}};
// What can be read there: all that a process has, on any kernel since 6.1.
constexpr std::array<const char*, 47> kReadable = {{
    "arch_status", "auxv",          "cgroup",     "cmdline",     "comm",        "coredump_filter",
    "cpuset",      "environ",       "fdinfo/3",   "gid_map",     "io",          "ksm_merging_pages",
    "ksm_stat",    "latency",       "limits",     "loginuid",    "maps",        "mem",
    "mountinfo",   "mounts",        "mountstats", "net/dev",     "numa_maps",   "oom_adj",
    "oom_score",   "oom_score_adj", "pagemap",    "patch_state", "personality", "projid_map",
    "sched",       "schedstat",     "sessionid",  "setgroups",   "smaps",       "smaps_rollup",
    "stack",       "stat",          "statm",      "status",      "syscall",     "timens_offsets",
    "timers",      "timerslack_ns", "uid_map",    "wchan",       "autogroup",
}};

void write_word(const std::string& path, const std::string& word) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  report("write " + path, fd < 0 ? fd : ::write(fd, word.data(), word.size()));
  if (fd >= 0) ::close(fd);
}

}  // namespace

void attack_pid1() {
  limits_and_priorities();
  signals();
  memory();
}

// By name, and whatever else there is: a kernel with a new file is asked about it, too.
void attack_pid1_proc() {
  for (const Word& word : kWords) write_word(std::string("/proc/1/") + word.name, word.word);
  for (const char* name : kReadable) report_open(std::string("/proc/1/") + name, O_RDONLY);
  for (const std::string& name : names_in("/proc/1")) {
    report_open("/proc/1/" + name, O_RDONLY);
    report_fd("write /proc/1/" + name, ::open(("/proc/1/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  }
  for (const char* path : {"/proc/1/root/", "/proc/1/cwd/", "/proc/1/fd/0", "/proc/1/fd/3",
                           "/proc/1/map_files/", "/proc/1/ns/mnt", "/proc/1/ns/pid", "/proc/1/exe",
                           "/proc/1/task/1/mem", "/proc/1/task/1/fd/3", "/proc/1/task/1/root/"}) {
    report_open(path, O_RDONLY);
    report_fd(std::string("path ") + path, ::open(path, O_PATH | O_CLOEXEC));
    char target[256];
    report(std::string("readlink ") + path, ::readlink(path, target, sizeof target));
  }
}

}  // namespace tare::attack
