#include "sandbox/seccomp/profile.h"

#include <linux/memfd.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

#include "sandbox/seccomp/tables.h"

namespace tare::sandbox {

namespace {

// The kernel truncates int arguments: so must every comparison.
constexpr std::uint64_t kLow32 = 0xFFFF'FFFF;
// Without CLONE_NEWTIME (0x80): in clone's flags those bits are the exit signal.
constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                          CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                          CLONE_NEWNET;

Case allow_if(std::vector<ArgumentTest> tests) { return {std::move(tests), Verdict::allowed}; }
Case refuse_if(std::vector<ArgumentTest> tests) { return {std::move(tests), Verdict::refused}; }
Case ignore_if(std::vector<ArgumentTest> tests) { return {std::move(tests), Verdict::nothing}; }

SyscallRule only(std::uint32_t number, std::string_view name, std::vector<Case> cases) {
  return {number, name, std::move(cases), Verdict::refused};
}
SyscallRule all_but(std::uint32_t number, std::string_view name, std::vector<Case> cases) {
  return {number, name, std::move(cases), Verdict::allowed};
}

// Sockets by family. Of the internet only TCP and UDP: the kernel looks for a module for whatever
// else is asked for, and asks for no capability. Netlink only for routes (getifaddrs needs it; the
// namespace has nothing but lo).
void socket_rules(model::Profile profile, std::vector<SyscallRule>& rules) {
  const auto family = [](int value) {
    return ArgumentTest{0, kLow32, static_cast<std::uint64_t>(value)};
  };
  std::vector<Case> families = {allow_if({family(AF_UNIX)})};
  rules.push_back(only(SYS_socketpair, "socketpair", families));
  if (profile != model::Profile::strict) {
    // One test for both: they differ in one bit.
    static_assert(AF_INET6 == (AF_INET | 8) && (AF_INET & 8) == 0);
    const ArgumentTest internet{0, kLow32 & ~std::uint64_t{8}, AF_INET};
    constexpr std::uint64_t kType = 0xF;  // without SOCK_CLOEXEC and SOCK_NONBLOCK
    for (const auto& [type, protocol] :
         {std::pair(SOCK_STREAM, IPPROTO_IP), std::pair(SOCK_STREAM, IPPROTO_TCP),
          std::pair(SOCK_DGRAM, IPPROTO_IP), std::pair(SOCK_DGRAM, IPPROTO_UDP)}) {
      families.push_back(allow_if({internet,
                                   {1, kType, static_cast<std::uint64_t>(type)},
                                   {2, kLow32, static_cast<std::uint64_t>(protocol)}}));
    }
    families.push_back(allow_if({family(AF_NETLINK), {2, kLow32, 0}}));
  }
  rules.push_back(only(SYS_socket, "socket", std::move(families)));
}

// Files, FIFOs and sockets, never devices.
std::vector<Case> no_devices(std::uint8_t index) {
  std::vector<Case> cases;
  for (const std::uint64_t type : {0, S_IFREG, S_IFIFO, S_IFSOCK})
    cases.push_back(allow_if({{index, S_IFMT, type}}));
  return cases;
}

// Two put characters into a terminal's input (CVE-2017-5226); the third gives it another line
// discipline, for which the kernel looks for a module. So it does for bridges, VLANs and frame
// relay (before 5.13), asked of any socket, and asks for no capability before.
SyscallRule ioctl_rule() {
  static_assert(SIOCSIFBR == SIOCGIFBR + 1 && SIOCGIFBR % 2 == 0);
  static_assert(SIOCGIFVLAN == 0x8982 && SIOCSIFVLAN == 0x8983);
  static_assert(SIOCBRADDBR == 0x89A0 && SIOCBRDELBR == 0x89A1);
  constexpr std::uint64_t kTwo = kLow32 & ~std::uint64_t{1};
  constexpr std::uint64_t kFour = kLow32 & ~std::uint64_t{3};
  return all_but(SYS_ioctl, "ioctl",
                 {refuse_if({{1, kLow32, TIOCSTI}}), refuse_if({{1, kLow32, TIOCLINUX}}),
                  refuse_if({{1, kLow32, TIOCSETD}}), refuse_if({{1, kTwo, SIOCGIFBR}}),
                  refuse_if({{1, kFour, SIOCGIFVLAN & ~3}}), refuse_if({{1, kFour, SIOCBRADDBR}})});
}

// At a limit of exactly 1 on core files the kernel starts no handler for a crash; at 0 it does: the
// host's, as its root, outside of every limit (core_pattern with `|`). Whoever has 1 may lower it.
// Who does means to leave no core file, and none is left: so it is told that it is done. But not of
// another process, nor where the old limit is asked for as well, which nobody would fill in.
void core_limit_rules(std::vector<SyscallRule>& rules) {
  constexpr std::uint64_t kPointer = ~std::uint64_t{0};
  rules.push_back(all_but(SYS_setrlimit, "setrlimit", {ignore_if({{0, kLow32, RLIMIT_CORE}})}));
  const ArgumentTest core{1, kLow32, RLIMIT_CORE};
  rules.push_back(
      all_but(SYS_prlimit64, "prlimit64",
              {allow_if({core, {2, kPointer, 0}}),
               ignore_if({core, {0, kLow32, 0}, {3, kPointer, 0}}), refuse_if({core})}));
}

void argument_rules(std::vector<SyscallRule>& rules) {
  rules.push_back(only(SYS_mknod, "mknod", no_devices(1)));
  rules.push_back(only(SYS_mknodat, "mknodat", no_devices(2)));
  rules.push_back(only(SYS_clone, "clone", {allow_if({{0, kNamespaceFlags, 0}})}));
  rules.push_back(
      only(SYS_unshare, "unshare", {allow_if({{0, kNamespaceFlags | CLONE_NEWTIME, 0}})}));
  // It takes its flags behind a pointer, which no filter can read: glibc falls back to clone. It
  // tries at each thread and process that it makes, so a refusal that is told would say nothing.
  rules.push_back({SYS_clone3, "clone3", {}, Verdict::absent});
  // Address randomisation cannot be switched off.
  rules.push_back(only(SYS_personality, "personality",
                       {allow_if({{0, kLow32, PER_LINUX}}), allow_if({{0, kLow32, kLow32}})}));
  // A listener would let one process of the sandbox answer for the system calls of another.
  rules.push_back(
      only(SYS_seccomp, "seccomp", {allow_if({{1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0}})}));
  rules.push_back(ioctl_rule());
  core_limit_rules(rules);
  // For a key of TCP-AO the kernel looks for a module by a name that the caller gives, for a layer
  // over TCP (TLS) by the cipher that is chosen.
  constexpr std::uint64_t kTcpAoAddKey = 38;  // linux/tcp.h from 6.7 on
  const ArgumentTest of_tcp{1, kLow32, IPPROTO_TCP};
  rules.push_back(all_but(
      SYS_setsockopt, "setsockopt",
      {refuse_if({of_tcp, {2, kLow32, TCP_ULP}}), refuse_if({of_tcp, {2, kLow32, kTcpAoAddKey}})}));
  // Where the host merges equal pages (KSM), the time of a write tells what others have in memory.
  constexpr std::uint64_t kSetMemoryMerge = 67;  // linux/prctl.h from 6.4 on
  rules.push_back(all_but(SYS_madvise, "madvise", {refuse_if({{2, kLow32, MADV_MERGEABLE}})}));
  rules.push_back(all_but(SYS_prctl, "prctl", {refuse_if({{0, kLow32, kSetMemoryMerge}})}));
  // Huge pages are not counted by the memory limit.
  rules.push_back(only(SYS_mmap, "mmap", {allow_if({{3, MAP_HUGETLB, 0}})}));
  rules.push_back(only(SYS_memfd_create, "memfd_create", {allow_if({{1, MFD_HUGETLB, 0}})}));
  rules.push_back(only(SYS_shmget, "shmget", {allow_if({{2, SHM_HUGETLB, 0}})}));
  rules.push_back({SYS_sync, "sync", {}, Verdict::nothing});
  rules.push_back({SYS_syncfs, "syncfs", {}, Verdict::nothing});
}

}  // namespace

std::vector<SyscallRule> rules_of(model::Profile profile) {
  std::vector<SyscallRule> rules;
  const auto add = [&rules](const NamedSyscall& call, Verdict verdict) {
    rules.push_back({static_cast<std::uint32_t>(call.number), call.name, {}, verdict});
  };
  for (const NamedSyscall& call : allowed_calls()) add(call, Verdict::allowed);
  for (const NamedSyscall& call : refused_calls()) {
    // A build has the capability, in its own user namespace.
    const bool may = profile == model::Profile::build && call.number == SYS_chroot;
    add(call, may ? Verdict::allowed : Verdict::refused);
  }
  socket_rules(profile, rules);
  argument_rules(rules);
  std::sort(rules.begin(), rules.end(),
            [](const SyscallRule& a, const SyscallRule& b) { return a.number < b.number; });
  return rules;
}

}  // namespace tare::sandbox
