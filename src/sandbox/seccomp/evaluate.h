// Judges a compiled filter in user space, as the kernel would: a classic BPF interpreter for the
// subset seccomp allows (32-bit loads from struct seccomp_data, ALU, jumps, return). For tests; no
// kernel is needed. Source: Linux Documentation/userspace-api/seccomp_filter.rst,
// networking/filter.rst.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace tare::sandbox {

struct SyscallAttempt {
  int number = 0;
  std::uint32_t arch = 0xC000003E;  // AUDIT_ARCH_X86_64
  std::array<std::uint64_t, 6> arguments = {};
};

// The filter's 32-bit answer (SECCOMP_RET_*). An error when the program is malformed or runs out of
// its bytes.
Result<std::uint32_t> evaluate(std::string_view filter, const SyscallAttempt& attempt);

// The longest path through the filter, in instructions: what a call costs at most.
Result<std::uint32_t> instructions_run(std::string_view filter, const SyscallAttempt& attempt);

}  // namespace tare::sandbox
