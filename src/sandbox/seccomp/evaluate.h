// Judges a compiled filter in user space, as the kernel would: a classic BPF interpreter for the
// subset seccomp allows (32-bit loads from struct seccomp_data, AND, jumps, return). For tests; no
// kernel is needed. Source: Linux Documentation/userspace-api/seccomp_filter.rst,
// networking/filter.rst.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tare::sandbox {

struct SyscallAttempt {
  std::uint32_t number = 0;
  std::uint32_t arch = 0xC000003E;  // AUDIT_ARCH_X86_64
  std::array<std::uint64_t, 6> arguments = {};
};

struct Judged {
  std::uint32_t answer = 0;  // SECCOMP_RET_*
  std::uint32_t steps = 0;   // instructions on the way: what the call costs
};

// A filter, and which of its instructions have been executed, and which of its jumps taken each
// way.
class Judge {
 public:
  explicit Judge(std::string_view filter);

  // An error when the program is malformed or runs out of its bytes.
  Result<Judged> judge(const SyscallAttempt& attempt);

  std::size_t size() const { return program_.size(); }
  // What no attempt so far has reached: "instruction 7 was never executed", "jump 9 was never
  // taken". Empty: all of the program is covered.
  std::vector<std::string> uncovered() const;

 private:
  struct Seen {
    bool executed = false, taken = false, passed = false;
  };
  bool whole_ = true;
  std::vector<sock_filter> program_;
  std::vector<Seen> seen_;
};

// The filter's answer to one attempt.
Result<std::uint32_t> evaluate(std::string_view filter, const SyscallAttempt& attempt);

}  // namespace tare::sandbox
