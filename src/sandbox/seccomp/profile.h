// What system calls a program in a sandbox may make, as a table: a value, compiled to a filter by
// build.h and judged in the tests by evaluate.h without a kernel.
//
// A refused call is told, and answers EPERM or what denied.h says: a number without a rule, newer
// than this table, is refused with ENOSYS, and so are i386 and x32 calls, all of them. One call is
// absent: clone3, which libraries try at each thread's start and know how to live without. sync and
// syncfs do nothing and say that they did: they would write out what others have on the same disks;
// so does a change of the limit on core files. None kills.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/sandbox_spec.h"

namespace tare::sandbox {

enum class Verdict : std::uint8_t {
  allowed,
  refused,  // told, and answered by tare-init: denied.h
  absent,   // ENOSYS, by the kernel alone, and not told
  nothing,  // answered as done, by the kernel alone, and nothing is done
};

// A condition on one argument: (argument & mask) == value.
struct ArgumentTest {
  std::uint8_t index = 0;
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

struct Case {
  std::vector<ArgumentTest> tests;  // all must hold; at least one
  Verdict verdict = Verdict::allowed;
};

struct SyscallRule {
  std::uint32_t number = 0;  // x86_64
  std::string_view name;
  std::vector<Case> cases;  // the first that holds decides
  Verdict otherwise = Verdict::allowed;
};

// One rule for each call that is known, by number. All others are refused.
std::vector<SyscallRule> rules_of(model::Profile profile);

}  // namespace tare::sandbox
