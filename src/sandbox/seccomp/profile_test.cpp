#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <set>

#include "sandbox/seccomp/build.h"
#include "sandbox/seccomp/denied.h"
#include "sandbox/seccomp/evaluate.h"
#include "sandbox/seccomp/names.h"
#include "sandbox/seccomp/profile.h"
#include "sandbox/seccomp/tables.h"

namespace tare::sandbox {
namespace {

using model::Profile;

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kRefused = SECCOMP_RET_USER_NOTIF;
constexpr std::uint32_t kAbsent = SECCOMP_RET_ERRNO | ENOSYS;

const std::string& filter(Profile profile = Profile::standard) {
  static std::map<Profile, std::string> filters;
  auto [found, fresh] = filters.try_emplace(profile);
  if (fresh) found->second = build_filter(profile).value();
  return found->second;
}

std::uint32_t verdict(int number, std::array<std::uint64_t, 6> arguments = {},
                      Profile profile = Profile::standard) {
  return evaluate(filter(profile),
                  {.number = static_cast<std::uint32_t>(number), .arguments = arguments})
      .value();
}

TEST(Filter, ordinary_calls_are_allowed) {
  for (const int number :
       {SYS_read, SYS_openat, SYS_mmap, SYS_execve, SYS_futex, SYS_epoll_wait, SYS_wait4}) {
    EXPECT_EQ(verdict(number), kAllow) << number;
  }
}

TEST(Filter, refused_calls_are_told_and_answer_eperm) {
  for (const int number :
       {SYS_mount, SYS_ptrace, SYS_bpf, SYS_keyctl, SYS_io_uring_setup, SYS_userfaultfd,
        SYS_perf_event_open, SYS_kexec_load, SYS_open_by_handle_at, SYS_process_vm_readv,
        SYS_pivot_root, SYS_setns}) {
    EXPECT_EQ(verdict(number), kRefused) << number;
    EXPECT_EQ(error_of({CallAbi::x86_64, static_cast<std::uint32_t>(number)}), EPERM) << number;
  }
}

TEST(Filter, what_is_unknown_is_told_and_answers_enosys) {
  std::set<std::uint32_t> ruled;
  for (const Profile profile : {Profile::strict, Profile::standard, Profile::build}) {
    for (const SyscallRule& rule : rules_of(profile)) ruled.insert(rule.number);
  }
  for (std::uint32_t number = 0; number < 2000; ++number) {
    EXPECT_EQ(is_unknown_call(number), !ruled.contains(number)) << number;
    if (ruled.contains(number)) continue;
    EXPECT_EQ(verdict(static_cast<int>(number)), kRefused) << number;
  }
  for (const int number : {600, 1000, 0x3FFFFFFF, -1}) {
    EXPECT_EQ(verdict(number), kRefused) << number;
    EXPECT_EQ(error_of({CallAbi::x86_64, static_cast<std::uint32_t>(number)}), ENOSYS) << number;
  }
}

// Each thread and each process of a program tries it first: it is no news.
TEST(Filter, clone3_alone_is_absent_and_untold) {
  for (const SyscallRule& rule : rules_of(Profile::standard))
    EXPECT_EQ(rule.otherwise == Verdict::absent, rule.name == "clone3") << rule.name;
  EXPECT_EQ(verdict(SYS_clone3), kAbsent);
}

TEST(Filter, other_architectures_are_told_and_answer_enosys_for_every_number) {
  for (std::uint32_t number = 0; number < 600; ++number) {
    EXPECT_EQ(evaluate(filter(), {.number = number, .arch = AUDIT_ARCH_I386}).value(), kRefused);
    EXPECT_EQ(evaluate(filter(), {.number = number | kX32Bit}).value(), kRefused) << number;
  }
  EXPECT_EQ(denied_call(AUDIT_ARCH_I386, 11), (DeniedCall{CallAbi::i386, 11}));
  EXPECT_EQ(denied_call(AUDIT_ARCH_X86_64, kX32Bit | 1), (DeniedCall{CallAbi::x32, 1}));
  EXPECT_EQ(error_of({CallAbi::i386, 11}), ENOSYS);
  EXPECT_EQ(error_of({CallAbi::x32, SYS_socket}), ENOSYS);
}

TEST(Filter, every_table_entry_gets_its_verdict_and_no_call_is_in_both_tables) {
  std::set<int> seen;
  for (const NamedSyscall& call : allowed_calls()) {
    EXPECT_EQ(verdict(call.number), kAllow) << call.name;
    EXPECT_TRUE(seen.insert(call.number).second) << call.name;
  }
  for (const NamedSyscall& call : refused_calls()) {
    EXPECT_EQ(verdict(call.number), kRefused) << call.name;
    EXPECT_TRUE(seen.insert(call.number).second) << call.name;
  }
}

TEST(Filter, clone_makes_threads_and_processes_but_no_namespaces) {
  EXPECT_EQ(verdict(SYS_clone, {SIGCHLD}), kAllow);
  EXPECT_EQ(verdict(SYS_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                CLONE_SETTLS}),
            kAllow);
  EXPECT_EQ(verdict(SYS_clone, {CLONE_VM | CLONE_VFORK | SIGCHLD}), kAllow);
  for (const std::uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID,
                                   CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    EXPECT_EQ(verdict(SYS_clone, {flag | SIGCHLD}), kRefused) << flag;
    EXPECT_EQ(verdict(SYS_unshare, {flag}), kRefused) << flag;
  }
  EXPECT_EQ(verdict(SYS_clone3),
            kAbsent);  // its flags cannot be seen; libc falls back to clone
}

TEST(Filter, sockets_are_local_or_internet_and_netlink_only_for_routes) {
  EXPECT_EQ(verdict(SYS_socket, {AF_UNIX, SOCK_STREAM, 0}), kAllow);
  EXPECT_EQ(verdict(SYS_socket, {AF_INET, SOCK_STREAM, 0}), kAllow);
  EXPECT_EQ(verdict(SYS_socket, {AF_INET6, SOCK_DGRAM, 0}), kAllow);
  EXPECT_EQ(verdict(SYS_socket, {AF_NETLINK, SOCK_RAW, 0}), kAllow);
  for (const int family : {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_KEY, AF_XDP, 1000}) {
    EXPECT_NE(verdict(SYS_socket, {static_cast<std::uint64_t>(family), SOCK_RAW, 0}), kAllow)
        << family;
  }
  EXPECT_NE(verdict(SYS_socket, {AF_NETLINK, SOCK_RAW, 12}), kAllow);  // NETLINK_NETFILTER
  EXPECT_EQ(error_of({CallAbi::x86_64, SYS_socket}), EAFNOSUPPORT);
  for (const std::uint64_t family : {AF_INET, AF_INET6}) {
    for (const std::uint64_t flags : {0, SOCK_CLOEXEC | SOCK_NONBLOCK}) {
      for (std::uint64_t type = 0; type < 16; ++type) {
        for (std::uint64_t protocol = 0; protocol < 300; ++protocol) {
          const bool tcp = type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
          const bool udp = type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
          EXPECT_EQ(verdict(SYS_socket, {family, type | flags, protocol}),
                    tcp || udp ? kAllow : kRefused)
              << family << " " << type << " " << protocol;
        }
      }
    }
  }
  EXPECT_NE(verdict(SYS_socket, {AF_INET, SOCK_STREAM, 0}, Profile::strict), kAllow);
  EXPECT_EQ(verdict(SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, Profile::strict), kAllow);
  // Only the low half of the register counts, as in the kernel.
  EXPECT_EQ(verdict(SYS_socket, {0xFFFF'FFFF'0000'0000 | AF_UNIX, SOCK_STREAM, 0}), kAllow);
  EXPECT_NE(verdict(SYS_socket, {0xFFFF'FFFF'0000'0000 | AF_PACKET, SOCK_RAW, 0}), kAllow);
}

TEST(Filter, a_terminal_cannot_be_typed_into_nor_given_another_discipline) {
  for (const std::uint64_t high : {std::uint64_t{0}, std::uint64_t{0xFFFF'FFFF'0000'0000}}) {
    EXPECT_NE(verdict(SYS_ioctl, {0, high | 0x5412}), kAllow);  // TIOCSTI
    EXPECT_NE(verdict(SYS_ioctl, {0, high | 0x541C}), kAllow);  // TIOCLINUX
    EXPECT_NE(verdict(SYS_ioctl, {0, high | 0x5423}), kAllow);  // TIOCSETD
  }
  for (std::uint64_t request = 0x5000; request < 0x6000; ++request) {
    if (request == 0x5412 || request == 0x541C || request == 0x5423) continue;
    EXPECT_EQ(verdict(SYS_ioctl, {0, request}), kAllow) << request;
  }
  for (int bit = 0; bit < 32; ++bit) {
    EXPECT_EQ(verdict(SYS_ioctl, {0, 0x5412ULL ^ (1ULL << bit)}), kAllow) << bit;
  }
}

// A module is loaded for them (bridge, 8021q, dlci), and no capability asked for.
TEST(Filter, sockets_are_asked_for_no_bridge_or_vlan) {
  const std::set<std::uint64_t> loading = {
      0x8940, 0x8941,                  // SIOCGIFBR, SIOCSIFBR
      0x8980, 0x8981,                  // SIOCADDDLCI, SIOCDELDLCI
      0x8982, 0x8983,                  // SIOCGIFVLAN, SIOCSIFVLAN
      0x89A0, 0x89A1, 0x89A2, 0x89A3,  // SIOCBRADDBR, SIOCBRDELBR, SIOCBRADDIF, SIOCBRDELIF
  };
  for (const Profile profile : {Profile::strict, Profile::standard, Profile::build}) {
    for (std::uint64_t request = 0x8900; request < 0x8A00; ++request) {
      const std::uint32_t expected = loading.contains(request) ? kRefused : kAllow;
      for (const std::uint64_t high : {std::uint64_t{0}, std::uint64_t{0xFFFF'FFFF'0000'0000}})
        EXPECT_EQ(verdict(SYS_ioctl, {3, high | request}, profile), expected) << request;
      EXPECT_EQ(verdict(SYS_ioctl, {3, 0x10000 | request}, profile), kAllow) << request;
    }
  }
}

// For a layer over TCP and for a key of TCP-AO, too.
TEST(Filter, tcp_is_given_no_layer_and_no_key) {
  for (std::uint64_t option = 0; option < 64; ++option) {
    const bool refused = option == 31 || option == 38;  // TCP_ULP, TCP_AO_ADD_KEY
    EXPECT_EQ(verdict(SYS_setsockopt, {3, IPPROTO_TCP, option}), refused ? kRefused : kAllow);
    EXPECT_EQ(verdict(SYS_setsockopt, {3, SOL_SOCKET, option}), kAllow) << option;
    EXPECT_EQ(verdict(SYS_setsockopt, {3, IPPROTO_UDP, option}), kAllow) << option;
    EXPECT_EQ(verdict(SYS_getsockopt, {3, IPPROTO_TCP, option}), kAllow) << option;
  }
  constexpr std::uint64_t kHigh = 0xFFFF'FFFF'0000'0000;
  EXPECT_EQ(verdict(SYS_setsockopt, {3, kHigh | IPPROTO_TCP, kHigh | 31}), kRefused);
  EXPECT_EQ(error_of({CallAbi::x86_64, SYS_setsockopt}), ENOPROTOOPT);
}

// 0 is the limit at which the kernel starts the host's core handler, 1 the one at which it does
// not.
TEST(Filter, the_limit_on_core_files_stays_and_whoever_changes_it_is_told_that_it_is_done) {
  constexpr auto kDone = static_cast<std::uint32_t>(SECCOMP_RET_ERRNO);
  constexpr std::uint64_t kHigh = 0xFFFF'FFFF'0000'0000;
  for (const Profile profile : {Profile::strict, Profile::standard, Profile::build}) {
    for (const std::uint64_t which : {std::uint64_t{RLIMIT_CORE}, kHigh | RLIMIT_CORE}) {
      EXPECT_EQ(verdict(SYS_setrlimit, {which, 0x1000}, profile), kDone);
      EXPECT_EQ(verdict(SYS_getrlimit, {which, 0x1000}, profile), kAllow);
      for (const std::uint64_t pointer : {std::uint64_t{0x1000}, std::uint64_t{1} << 40}) {
        EXPECT_EQ(verdict(SYS_prlimit64, {0, which, 0, pointer}, profile), kAllow);
        EXPECT_EQ(verdict(SYS_prlimit64, {0, which, pointer, 0}, profile), kDone);
        EXPECT_EQ(verdict(SYS_prlimit64, {1, which, 0, pointer}, profile), kAllow);
        EXPECT_EQ(verdict(SYS_prlimit64, {1, which, pointer, 0}, profile), kRefused);
        EXPECT_EQ(verdict(SYS_prlimit64, {0, which, pointer, pointer}, profile), kRefused);
      }
    }
    for (std::uint64_t which = 0; which < 16; ++which) {
      if (which == RLIMIT_CORE) continue;
      EXPECT_EQ(verdict(SYS_setrlimit, {which, 0x1000}, profile), kAllow) << which;
      EXPECT_EQ(verdict(SYS_prlimit64, {0, which, 0x1000, 0x1000}, profile), kAllow) << which;
    }
  }
}

// How long a write takes to a page that the host has merged tells who else has the same one.
TEST(Filter, no_page_is_offered_to_be_merged_with_those_of_others) {
  for (std::uint64_t advice = 0; advice < 128; ++advice) {
    EXPECT_EQ(verdict(SYS_madvise, {0, 4096, advice}), advice == 12 ? kRefused : kAllow) << advice;
    EXPECT_EQ(verdict(SYS_prctl, {advice, 1}), advice == 67 ? kRefused : kAllow) << advice;
  }
  EXPECT_EQ(verdict(SYS_madvise, {0, 4096, 0xFFFF'FFFF'0000'000C}), kRefused);
  EXPECT_EQ(verdict(SYS_prctl, {0xFFFF'FFFF'0000'0043, 1}), kRefused);
  EXPECT_EQ(error_of({CallAbi::x86_64, SYS_madvise}), EINVAL);
  EXPECT_EQ(error_of({CallAbi::x86_64, SYS_prctl}), EINVAL);
}

// What is done for every file system of the host, or counted for all of it, or not counted at all.
TEST(Filter, what_reaches_beyond_the_sandbox_is_not_done) {
  for (const int number : {SYS_sync, SYS_syncfs}) {
    EXPECT_EQ(verdict(number), static_cast<std::uint32_t>(SECCOMP_RET_ERRNO)) << number;
    EXPECT_EQ(verdict(number, {3}), static_cast<std::uint32_t>(SECCOMP_RET_ERRNO)) << number;
  }
  for (const int number : {SYS_io_setup, SYS_io_submit, SYS_io_destroy, SYS_io_getevents,
                           SYS_io_pgetevents, SYS_io_cancel}) {
    EXPECT_EQ(verdict(number, {1}), kRefused) << number;
    EXPECT_EQ(error_of({CallAbi::x86_64, static_cast<std::uint32_t>(number)}), ENOSYS) << number;
  }
}

TEST(Filter, huge_pages_are_not_to_be_had) {
  EXPECT_EQ(verdict(SYS_mmap, {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS}), kAllow);
  EXPECT_EQ(verdict(SYS_mmap, {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB}), kRefused);
  EXPECT_EQ(error_of({CallAbi::x86_64, SYS_mmap}), ENOMEM);
  EXPECT_EQ(verdict(SYS_memfd_create, {0, 1}), kAllow);
  EXPECT_EQ(verdict(SYS_memfd_create, {0, 1 | 4 | 21ULL << 26}), kRefused);
  EXPECT_EQ(error_of({CallAbi::x86_64, SYS_memfd_create}), EINVAL);
  EXPECT_EQ(verdict(SYS_shmget, {0, 4096, 01600}), kAllow);
  EXPECT_EQ(verdict(SYS_shmget, {0, 4096, 01600 | 04000}), kRefused);
  EXPECT_EQ(error_of({CallAbi::x86_64, SYS_shmget}), ENOMEM);
}

TEST(Filter, files_fifos_and_sockets_can_be_made_but_no_devices) {
  EXPECT_EQ(verdict(SYS_mknodat, {0, 0, S_IFREG | 0644}), kAllow);
  EXPECT_EQ(verdict(SYS_mknodat, {0, 0, S_IFIFO | 0644}), kAllow);
  EXPECT_EQ(verdict(SYS_mknod, {0, S_IFCHR | 0666}), kRefused);
  EXPECT_EQ(verdict(SYS_mknodat, {0, 0, S_IFBLK | 0666}), kRefused);
}

TEST(Filter, address_randomisation_cannot_be_switched_off) {
  EXPECT_EQ(verdict(SYS_personality, {0xFFFFFFFF}), kAllow);
  EXPECT_EQ(verdict(SYS_personality, {0}), kAllow);
  EXPECT_NE(verdict(SYS_personality, {0x0040000}), kAllow);
}

TEST(Filter, only_a_build_may_change_its_root) {
  EXPECT_EQ(verdict(SYS_chroot, {}, Profile::build), kAllow);
  EXPECT_EQ(verdict(SYS_chroot, {}, Profile::standard), kRefused);
  EXPECT_EQ(verdict(SYS_mount, {}, Profile::build), kRefused);
}

TEST(Filter, the_table_names_each_call_once_and_nothing_twice) {
  std::set<std::uint32_t> numbers;
  std::set<std::string_view> names;
  for (const SyscallRule& rule : rules_of(Profile::standard)) {
    EXPECT_TRUE(numbers.insert(rule.number).second) << rule.name;
    EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    // Numbers that Debian 12's headers do not have yet are spelt out: the library may not know
    // them.
    const std::string name = name_of({CallAbi::x86_64, rule.number});
    EXPECT_TRUE(name == rule.name || rule.number >= 451) << name << " " << rule.name;
  }
  EXPECT_GT(numbers.size(), 350U);
}

TEST(Filter, a_refused_call_has_a_name_whatever_it_is) {
  EXPECT_EQ(name_of({CallAbi::x86_64, SYS_ptrace}), "ptrace");
  EXPECT_EQ(name_of({CallAbi::i386, 11}), "i386 execve");
  EXPECT_EQ(name_of({CallAbi::x32, 0}), "x32 read");
  EXPECT_EQ(name_of({CallAbi::x86_64, 999}), "call 999");
  EXPECT_EQ(name_of({CallAbi::x86_64, 0xFFFF'FFFF}), "call 4294967295");
  EXPECT_EQ(name_of({CallAbi::i386, 1'000'000}), "i386 call 1000000");
  EXPECT_EQ(name_of({CallAbi::other, 7}), "others");
}

TEST(Evaluate, a_malformed_filter_is_an_error) {
  EXPECT_FALSE(evaluate("", {}));
  EXPECT_FALSE(evaluate("1234567", {}));
  EXPECT_FALSE(evaluate(std::string(8, '\xFF'), {}));
  EXPECT_FALSE(evaluate(filter().substr(0, filter().size() / 2), {.number = 600}));
}

}  // namespace
}  // namespace tare::sandbox
