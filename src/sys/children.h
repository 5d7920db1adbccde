// The caller's children as the kernel knows them, for those that it does not know itself (cloned
// for it by another process with CLONE_PARENT). Source: proc(5) /proc/[pid]/task/[tid]/children.
// The caller must be single-threaded.
#pragma once

#include <sys/types.h>

#include <vector>

namespace tare::sys {

std::vector<pid_t> children();
// Only for a child of the caller: its number cannot be another's before it is reaped.
void kill_and_reap(pid_t child);

}  // namespace tare::sys
