// System calls that are refused and told: the filter hands them to tare-init, which answers each
// with its errno and tells the launcher (SECCOMP_RET_USER_NOTIF, seccomp_unotify(2)). Only the
// number and the way it came are looked at: no argument, so nothing can be changed behind our back
// (S25), and never "go on". Names are for people.
//
// Shared with tare-init: no allocation, plain values only.
#pragma once

#include <linux/audit.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>

namespace tare::sandbox {

enum class CallAbi : std::uint8_t {
  x86_64,
  x32,
  i386,
  other,  // of a report: all that a full table has no place for, together
};

inline constexpr std::uint32_t kX32Bit = 0x4000'0000;  // of the number
inline constexpr std::uint32_t kX32End = 0x8000'0000;

struct DeniedCall {
  CallAbi abi = CallAbi::x86_64;
  std::uint32_t number = 0;  // without the bit of x32

  friend constexpr bool operator==(const DeniedCall&, const DeniedCall&) = default;
  friend constexpr auto operator<=>(const DeniedCall&, const DeniedCall&) = default;
};

// `arch` and `number` as in struct seccomp_data.
constexpr DeniedCall denied_call(std::uint32_t arch, std::uint32_t number) {
  if (arch == AUDIT_ARCH_I386) return {CallAbi::i386, number};
  if (arch != AUDIT_ARCH_X86_64) return {CallAbi::other, number};
  if (number >= kX32Bit && number < kX32End) return {CallAbi::x32, number - kX32Bit};
  return {CallAbi::x86_64, number};
}

// Numbers that no rule of a profile has: newer than our tables, or nobody's.
constexpr bool is_unknown_call(std::uint32_t number) {
  struct Range {
    std::uint32_t first, last;
  };
  constexpr Range kUnknown[] = {{335, 423}, {451, 451}, {453, 453}, {457, 461}, {463, 0xFFFF'FFFF}};
  for (const Range& range : kUnknown) {
    if (number >= range.first && number <= range.last) return true;
  }
  return false;
}

// What a call that is refused and told answers. One that is unknown is answered as by a kernel
// that is older than it, which its libraries know how to live with. So are sockets, layers over
// TCP, asynchronous I/O, huge and merged pages that are not to be had: as on a kernel without them,
// or with none left.
constexpr int error_of(const DeniedCall& call) {
  if (call.abi != CallAbi::x86_64 || is_unknown_call(call.number)) return ENOSYS;
  switch (call.number) {
    case SYS_socket:
    case SYS_socketpair: return EAFNOSUPPORT;
    case SYS_io_setup:
    case SYS_io_destroy:
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_io_submit:
    case SYS_io_cancel: return ENOSYS;
    case SYS_mmap:
    case SYS_shmget: return ENOMEM;
    case SYS_setsockopt: return ENOPROTOOPT;
    case SYS_madvise:
    case SYS_prctl:
    case SYS_memfd_create: return EINVAL;
    default: return EPERM;
  }
}

}  // namespace tare::sandbox
