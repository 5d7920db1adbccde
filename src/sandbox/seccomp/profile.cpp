#include "sandbox/seccomp/profile.h"

#include <linux/net.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

#include "sandbox/seccomp/tables.h"

namespace tare::sandbox {

namespace {

constexpr std::uint64_t
    kLow32 = 0xFFFF'FFFF;  // the kernel truncates int arguments: so must every comparison
// Without CLONE_NEWTIME (0x80): in clone's flags those bits are the exit signal.
constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                          CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                          CLONE_NEWNET;
constexpr std::uint64_t kFileType = S_IFMT;

void refuse(std::vector<SyscallRule>& rules, int number, std::string_view name, int error,
            std::vector<ArgumentTest> tests = {}) {
  rules.push_back({number, name, false, error, std::move(tests)});
}

void allow(std::vector<SyscallRule>& rules, int number, std::string_view name,
           std::vector<ArgumentTest> tests = {}) {
  rules.push_back({number, name, true, 0, std::move(tests)});
}

// Sockets by family. Netlink only for routes (getifaddrs needs it; the namespace has nothing but
// lo).
void socket_rules(model::Profile profile, std::vector<SyscallRule>& rules) {
  const auto family = [](int value) {
    return ArgumentTest{0, kLow32, static_cast<std::uint64_t>(value)};
  };
  allow(rules, SYS_socket, "socket", {family(AF_UNIX)});
  allow(rules, SYS_socketpair, "socketpair", {family(AF_UNIX)});
  if (profile == model::Profile::strict) return;
  allow(rules, SYS_socket, "socket", {family(AF_INET)});
  allow(rules, SYS_socket, "socket", {family(AF_INET6)});
  allow(rules, SYS_socket, "socket", {family(AF_NETLINK), {2, kLow32, 0}});
}

// mknod makes files, FIFOs and sockets, never devices.
void node_rules(std::vector<SyscallRule>& rules) {
  for (const mode_t type : {mode_t{0}, mode_t{S_IFREG}, mode_t{S_IFIFO}, mode_t{S_IFSOCK}}) {
    allow(rules, SYS_mknod, "mknod", {{1, kFileType, type}});
    allow(rules, SYS_mknodat, "mknodat", {{2, kFileType, type}});
  }
  for (const mode_t type : {mode_t{S_IFCHR}, mode_t{S_IFBLK}}) {
    refuse(rules, SYS_mknod, "mknod", EPERM, {{1, kFileType, type}});
    refuse(rules, SYS_mknodat, "mknodat", EPERM, {{2, kFileType, type}});
  }
}

// A blacklist of values inside an allowed call: allowed unless one of these bits is set or value
// matches.
void argument_rules(std::vector<SyscallRule>& rules) {
  allow(rules, SYS_clone, "clone", {{0, kNamespaceFlags, 0}});
  allow(rules, SYS_unshare, "unshare", {{0, kNamespaceFlags | CLONE_NEWTIME, 0}});
  for (std::uint64_t flags = kNamespaceFlags; flags != 0; flags &= flags - 1) {
    const std::uint64_t flag = flags & -flags;
    refuse(rules, SYS_clone, "clone", EPERM, {{0, flag, flag}});
    refuse(rules, SYS_unshare, "unshare", EPERM, {{0, flag, flag}});
  }
  // clone3 takes its flags behind a pointer, which no filter can read: glibc falls back to clone on
  // ENOSYS.
  refuse(rules, SYS_clone3, "clone3", ENOSYS);
  for (const std::uint64_t persona : {std::uint64_t{PER_LINUX}, kLow32}) {
    allow(rules, SYS_personality, "personality", {{0, kLow32, persona}});
  }
  // A listener would let one process of the sandbox answer for the system calls of another.
  allow(rules, SYS_seccomp, "seccomp", {{1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0}});
}

// libseccomp cannot take an unconditional allow and a conditional refusal of one call, so what is
// allowed is spelt out by bits: every value of the low 32 bits other than the refused ones differs
// from each of them in at least one bit.
void ioctl_rules(std::vector<SyscallRule>& rules) {
  // TIOCSTI 0x5412 and TIOCLINUX 0x541C put characters into a terminal's input (CVE-2017-5226).
  constexpr std::uint64_t kSti = 0x5412;
  constexpr std::uint64_t kLinux = 0x541C;
  constexpr std::uint64_t kDiffer = kSti ^ kLinux;
  for (int b = 0; b < 32; ++b) {
    const std::uint64_t bit = std::uint64_t{1} << b;
    if ((kDiffer & bit) != 0) continue;
    allow(rules, SYS_ioctl, "ioctl", {{1, bit, ~kSti & bit}});
  }
  // Those that equal both in all shared bits: every other combination of the bits in which the two
  // differ.
  for (std::uint64_t some = kDiffer;; some = (some - 1) & kDiffer) {
    const std::uint64_t value = (kSti & ~kDiffer) | some;
    if (value != kSti && value != kLinux) allow(rules, SYS_ioctl, "ioctl", {{1, kLow32, value}});
    if (some == 0) break;
  }
}

}  // namespace

std::vector<SyscallRule> rules_of(model::Profile profile) {
  std::vector<SyscallRule> rules;
  for (const NamedSyscall& call : allowed_calls()) allow(rules, call.number, call.name);
  for (const NamedSyscall& call : refused_calls()) {
    if (profile == model::Profile::build && call.number == SYS_chroot) {
      allow(rules, call.number, call.name);  // with the capability, in its own user namespace
    } else {
      refuse(rules, call.number, call.name, EPERM);
    }
  }
  socket_rules(profile, rules);
  node_rules(rules);
  argument_rules(rules);
  ioctl_rules(rules);
  return rules;
}

}  // namespace tare::sandbox
