// A table of rules compiled to a BPF program: neighbouring numbers of one verdict are a range, and
// a balanced binary tree finds the range, so that neither the program's size nor the cost of a call
// follows the table. Run once per profile when tared starts; the bytes go into every plan.
//
// libseccomp's tree compares single numbers: four times the instructions, and the time to load them
// (docs/performance.md). That this program says what the table says, for every number and ABI and
// at every boundary of the arguments, is shown by seccomp/judge_test.cpp.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "model/sandbox_spec.h"
#include "sandbox/seccomp/profile.h"

namespace tare::sandbox {

// An array of struct sock_filter, as bytes.
Result<std::string> build_filter(model::Profile profile);

// `rules` by number, each number once. Errc::exhausted when the program would be too large for its
// jumps (255 instructions).
Result<std::string> compile_filter(std::span<const SyscallRule> rules);

}  // namespace tare::sandbox
