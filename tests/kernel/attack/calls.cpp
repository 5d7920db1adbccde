// Calls that must be refused (ATTACKS.md S21, S22, S30), and other ways to make them (S23).
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "attack.h"

namespace tare::attack {

namespace {

struct Call {
  const char* name;
  long number;
  std::array<long, 6> arguments;
};

// With arguments that do no harm where the call is let through (a kernel without our filter).
const std::array<Call, 78> kCalls = {{
    {"fsopen", 430, {address("ext4"), 0}},  // CVE-2022-0185
    {"fsconfig", 431, {-1, 0, 0, 0, 0}},
    {"fsmount", 432, {-1, 0, 0}},
    {"fspick", 433, {AT_FDCWD, address("/"), 0}},
    {"open_tree", 428, {AT_FDCWD, address("/"), 1}},
    {"open_tree_attr", 467, {AT_FDCWD, address("/"), 1, 0, 0}},
    {"move_mount", 429, {-1, address(""), AT_FDCWD, address("/tmp"), 4}},
    {"mount_setattr", 442, {AT_FDCWD, address("/"), 0, 0, 0}},
    {"mount overlay",
     SYS_mount,  // CVE-2023-0386, CVE-2021-3493
     {address("overlay"), address("/mnt"), address("overlay"), 0,
      address("lowerdir=/usr,upperdir=/tmp,workdir=/tmp")}},
    {"mount proc", SYS_mount, {address("proc"), address("/mnt"), address("proc"), 0, 0}},
    {"mount cgroup",
     SYS_mount,  // release_agent, CVE-2022-0492
     {address("cgroup"), address("/mnt"), address("cgroup"), 0, address("memory")}},
    {"mount cgroup2", SYS_mount, {address("none"), address("/mnt"), address("cgroup2"), 0, 0}},
    {"mount sysfs", SYS_mount, {address("sysfs"), address("/mnt"), address("sysfs"), 0, 0}},
    {"mount debugfs", SYS_mount, {address("d"), address("/mnt"), address("debugfs"), 0, 0}},
    {"mount binfmt_misc", SYS_mount, {address("b"), address("/mnt"), address("binfmt_misc"), 0, 0}},
    {"mount fuse",
     SYS_mount,
     {address("f"), address("/mnt"), address("fuse"), 0, address("fd=3,rootmode=40000,user_id=0")}},
    {"umount2", SYS_umount2, {address("/proc"), 2}},
    {"quotactl", SYS_quotactl, {0, 0, 0, 0}},
    {"quotactl_fd", 443, {-1, 0, 0, 0}},
    {"unshare user", SYS_unshare, {CLONE_NEWUSER}},
    {"unshare net", SYS_unshare, {CLONE_NEWNET}},
    {"unshare mount", SYS_unshare, {CLONE_NEWNS}},
    {"unshare pid", SYS_unshare, {CLONE_NEWPID}},
    {"unshare ipc", SYS_unshare, {CLONE_NEWIPC}},
    {"unshare uts", SYS_unshare, {CLONE_NEWUTS}},
    {"unshare cgroup", SYS_unshare, {CLONE_NEWCGROUP}},
    {"unshare time", SYS_unshare, {CLONE_NEWTIME}},
    {"unshare all but one bit", SYS_unshare, {0x7E020080 & ~0x40000000}},
    {"setns", SYS_setns, {-1, 0}},
    {"bpf", SYS_bpf, {5, 0, 0}},  // CVE-2021-31440, CVE-2022-23222: the verifier
    {"perf_event_open", SYS_perf_event_open, {0, 0, -1, -1, 0}},
    {"io_uring_setup", 425, {8, 0}},
    {"io_uring_enter", 426, {-1, 0, 0, 0, 0, 0}},
    {"io_uring_register", 427, {-1, 0, 0, 0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"userfaultfd, user mode only", SYS_userfaultfd, {1}},
    {"add_key", SYS_add_key, {address("user"), address("a"), address("b"), 1, -3}},
    {"request_key", SYS_request_key, {address("user"), address("a"), 0, -3}},
    {"keyctl", SYS_keyctl, {0, -3, 0}},  // CVE-2016-0728
    {"keyctl join", SYS_keyctl, {1, address("x")}},
    {"ptrace", SYS_ptrace, {0, 0, 0, 0}},
    {"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 0}},
    {"process_vm_writev", SYS_process_vm_writev, {1, 0, 0, 0, 0, 0}},
    {"kcmp", SYS_kcmp, {::getpid(), ::getpid(), 0, 0, 0}},
    {"pidfd_getfd", 438, {-1, 0, 0}},
    {"kexec_load", SYS_kexec_load, {0, 64, 0, 0}},  // 16 are allowed; none would unload one
    {"kexec_file_load", SYS_kexec_file_load, {-1, -1, 0, 0, 0}},
    {"init_module", SYS_init_module, {0, 0, 0}},
    {"finit_module", SYS_finit_module, {-1, 0, 0}},
    {"delete_module", SYS_delete_module, {address("no-such"), 0}},
    {"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD, 0, 0}},
    {"name_to_handle_at", SYS_name_to_handle_at, {AT_FDCWD, address("/"), 0, 0, 0}},
    {"vmsplice", SYS_vmsplice, {1, 0, 0, 0}},  // Dirty Pipe's relatives
    {"memfd_secret", 447, {0}},
    {"personality", SYS_personality, {0x0040000}},  // ADDR_NO_RANDOMIZE
    {"personality READ_IMPLIES_EXEC", SYS_personality, {0x0400000}},
    {"modify_ldt", SYS_modify_ldt, {0, 0, 0}},
    {"uselib", SYS_uselib, {address("/x")}},
    {"acct", SYS_acct, {address("/nowhere/x")}},
    {"swapon", SYS_swapon, {address("/nowhere/x"), 0}},
    {"reboot", SYS_reboot, {0, 0, 0, 0}},
    {"syslog", SYS_syslog, {10, 0, 0}},
    {"settimeofday", SYS_settimeofday, {0, 0}},
    {"clock_settime", SYS_clock_settime, {0, 0}},
    {"clock_adjtime", SYS_clock_adjtime, {0, 0}},
    {"adjtimex", SYS_adjtimex, {0}},
    {"sethostname", SYS_sethostname, {address("x"), 1}},
    {"setdomainname", SYS_setdomainname, {address("x"), 1}},
    {"iopl", SYS_iopl, {3}},
    {"ioperm", SYS_ioperm, {0x80, 1, 1}},
    {"fanotify_init", SYS_fanotify_init, {0, 0}},
    {"lookup_dcookie", SYS_lookup_dcookie, {0, 0, 0}},
    {"mbind", SYS_mbind, {0, 0, 0, 0, 0, 0}},  // CVE-2017-5123's relatives
    {"set_mempolicy", SYS_set_mempolicy, {0, 0, 0}},
    {"move_pages", SYS_move_pages, {0, 0, 0, 0, 0, 0}},
    {"vhangup", SYS_vhangup, {}},
    {"chroot", SYS_chroot, {address("/")}},
    {"ioctl TIOCSETD", SYS_ioctl, {-1, 0x5423, 0}},
}};

// Refused with what a kernel that merges no pages answers.
void report_merging(const char* name, long result) {
  if (result < 0 && errno == EINVAL) {
    harmless(name, "as on a kernel without it");
  } else {
    report(name, result);
  }
}

void merging() {
  report_merging("madvise MERGEABLE", raw(SYS_madvise, 0, 0, 12));
  report_merging("prctl MEMORY_MERGE", raw(SYS_prctl, 67, 1, 0, 0, 0));
}

// Away from 1, which keeps the host's core handler out.
void core_limit() {
  constexpr rlim_t kNone = 1;
  rlimit limit = {0, 0};
  rlimit old = {};
  report("the core limit and the old one",
         raw(SYS_prlimit64, 0, RLIMIT_CORE, address(&limit), address(&old)));
  for (const rlim_t most : {rlim_t{0}, RLIM_INFINITY}) {
    limit = {most, most};
    (void)raw(SYS_setrlimit, RLIMIT_CORE, address(&limit));
    (void)raw(SYS_prlimit64, 0, RLIMIT_CORE, address(&limit), 0);
    (void)::getrlimit(RLIMIT_CORE, &old);
    errno = EPERM;
    report("a core limit of " + std::to_string(most),
           old.rlim_cur == kNone && old.rlim_max == kNone ? -1 : 0);
  }
}

// clone(2) with a flag, in every combination with SIGCHLD that glibc would make.
void clones() {
  for (int bit = 0; bit < 32; ++bit) {
    const unsigned long flag = 1UL << bit;
    constexpr unsigned long kNew = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    if ((flag & kNew) == 0) continue;
    for (const unsigned long low : {0UL, static_cast<unsigned long>(SIGCHLD)}) {
      const long pid = raw(SYS_clone, static_cast<long>(flag | low), 0, 0, 0, 0);
      if (pid == 0) ::_exit(0);
      report("clone " + std::to_string(bit), pid);
    }
  }
  clone_args arguments = {};
  for (const std::uint64_t flags :
       {std::uint64_t{0}, std::uint64_t{CLONE_NEWUSER}, std::uint64_t{CLONE_NEWTIME},
        std::uint64_t{CLONE_INTO_CGROUP}, std::uint64_t{1} << 40}) {
    arguments.flags = flags;
    arguments.exit_signal = SIGCHLD;
    const long pid = raw(SYS_clone3, address(&arguments), sizeof arguments);
    if (pid == 0) ::_exit(0);
    report("clone3 " + std::to_string(flags), pid);
  }
}

void filters() {
  sock_filter instruction = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  sock_fprog program = {1, &instruction};
  for (const unsigned long flag :
       {SECCOMP_FILTER_FLAG_NEW_LISTENER,
        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_LOG})
    report("a listener for system calls " + std::to_string(flag),
           raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, static_cast<long>(flag), address(&program)));
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
  errno = EPERM;
  report("no_new_privs taken back", ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? -1 : 0);
  // One more filter can only take more away.
  report_child("a filter that allows all, then unshare", [&program] {
    (void)raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, address(&program));
    return ::unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
  });
}

// eax, ebx: a call of the i386 table, from 64-bit code.
long by_int80(long number, long first) {
  long result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(first)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

}  // namespace

void attack_calls() {
  for (const Call& call : kCalls) {
    const auto& a = call.arguments;
    const auto make = [&] { return raw(call.number, a[0], a[1], a[2], a[3], a[4], a[5]); };
    if (call.number == SYS_unshare) {
      // Else whoever may do it is root of less, and what comes after is refused for that.
      report_child(call.name, [&] { return make() < 0 ? errno : 0; });
    } else {
      report(call.name, make());
    }
  }
  merging();
  core_limit();
  clones();
  filters();
}

void attack_abi() {
  constexpr long kX32 = 0x40000000;
  // Numbers that are harmless if they are let through; those of x32's own range are 512 to 547.
  for (const long number : std::initializer_list<long>{SYS_getpid, SYS_unshare, SYS_mount,
                                                       SYS_ptrace, 516, 520, 521, 540})
    report("x32 " + std::to_string(number), raw(kX32 | number, -1, 0, 0));
  for (const long number : {-1L, 500L, 1024L, 0xFFFFFFFFL})
    report("no such call " + std::to_string(number), raw(number));
  // Kernels since 6.11 let uretprobe pass any filter, and since 6.18 uprobe: SIGILL unless it comes
  // from the page that the kernel itself has put there.
  for (const long number : {335L, 336L}) {
    report_child("call " + std::to_string(number),
                 [number] { return raw(number) < 0 ? errno : 0; });
  }
  // The filter sees 32 bits of the number; so does the kernel.
  report("unshare with high bits",
         raw(static_cast<long>(0x1'0000'0000UL | SYS_unshare), CLONE_NEWUSER));
  report("unshare with high bits in the argument",
         raw(SYS_unshare, static_cast<long>(0xFFFF'FFFF'0000'0000UL | CLONE_NEWUSER)));
  struct Old {
    const char* name;
    long number, first;
  };
  for (const Old& old : std::initializer_list<Old>{{"getpid", 20, 0},
                                                   {"unshare", 310, CLONE_NEWUSER},
                                                   {"mount", 21, 0},
                                                   {"ptrace", 26, 0},
                                                   {"vm86", 166, 0},
                                                   {"setuid16", 23, 0},
                                                   {"socketcall", 102, 1},
                                                   {"ipc", 117, 0},
                                                   {"clone", 120, CLONE_NEWUSER}}) {
    report_child(std::string("int 0x80 ") + old.name, [&old] {
      const long result = by_int80(old.number, old.first);
      return result < 0 ? static_cast<int>(-result) : 0;
    });
  }
}

}  // namespace tare::attack
