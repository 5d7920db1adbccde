// A plain child process of a single-threaded program: fork(2) and a pidfd for it. The child dies
// with its parent (PR_SET_PDEATHSIG; a parent that was already gone ends it at once). Unlike
// clone_child it may go on with ordinary code: fork runs libc's own handlers, so allocation and
// stdio are safe in the child. Sources: fork(2), pidfd_open(2), eventfd(2),
// PR_SET_PDEATHSIG(2const). The caller must be single-threaded.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/process.h"

namespace tare::sys {

// Returns an invalid Child in the child process. After an error the child, if there was one, is
// gone, and has not come back from this call: nothing was done in it.
Result<Child> fork_child();

// Closes every descriptor of the process but those named (-1 is passed over), also those not known
// of. For a child about to be confined. Source: close_range(2).
Result<> close_all_but(std::span<const int> kept);

// In a child: changes the root to `root` and becomes the first of `programs` that is there, with
// `err` as its stderr. Does not come back; exits with 126 or 127 when it cannot.
[[noreturn]] void exec_in_root(const std::string& root, const std::vector<std::string>& programs,
                               const std::vector<std::string>& argv, int err);

// The RLIMIT_CORE at which the kernel hands a crashed process to no program (core_pattern with
// `|`), and writes no file either. At 0 it does: core(5), fs/coredump.c.
inline constexpr std::uint64_t kNoCoreHandler = 1;

// RLIMIT_*: soft and hard limit alike, of the calling process.
Result<> limit_resource(int resource, std::uint64_t value);
// The hard limit at least `value` where we may (root), the soft one what the hard one is then.
Result<> raise_resource(int resource, std::uint64_t value);

}  // namespace tare::sys
