#include "sandbox/seccomp/profile.h"

#include <linux/memfd.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
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

SyscallRule only(std::uint32_t number, std::string_view name, std::vector<Case> cases) {
  return {number, name, std::move(cases), Verdict::refused};
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
  // Two put characters into a terminal's input (CVE-2017-5226); the third gives it another line
  // discipline, for which the kernel looks for a module.
  rules.push_back({SYS_ioctl,
                   "ioctl",
                   {refuse_if({{1, kLow32, TIOCSTI}}), refuse_if({{1, kLow32, TIOCLINUX}}),
                    refuse_if({{1, kLow32, TIOCSETD}})},
                   Verdict::allowed});
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
