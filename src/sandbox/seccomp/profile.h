// What system calls a program in a sandbox may make, as a table: a value, compiled to a filter by
// build.h and judged in the tests by evaluate.h without a kernel.
//
// A refused call answers EPERM (known and refused) or ENOSYS (unknown to us, or refused so that a
// library falls back); it never kills. i386 and x32 calls answer ENOSYS, all of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/sandbox_spec.h"

namespace tare::sandbox {

// A condition on one argument: (argument & mask) == value.
struct ArgumentTest {
  std::uint8_t index = 0;
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

struct SyscallRule {
  int number = -1;  // x86_64
  std::string_view name;
  bool allowed = false;
  int error = 0;                    // for a refused one
  std::vector<ArgumentTest> tests;  // all must hold for an allowed call; empty: always
};

// Every rule of the profile. A call may have several rules (any that matches allows it); a call
// with no matching rule answers its refusal in `refusals` if it is named there, else ENOSYS.
std::vector<SyscallRule> rules_of(model::Profile profile);

}  // namespace tare::sandbox
