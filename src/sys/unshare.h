// Leaving namespaces that were inherited. Sources: unshare(2), setns(2). The caller must be
// single-threaded.
#pragma once

#include "base/result.h"

namespace tare::sys {

// A network namespace of one's own with nothing in it but a `lo` that is down. Unix sockets at a
// path still work.
Result<> leave_network();

// A copy of the mount namespace. Its mounts are shared with the old one's until they are made
// private (mountfs.h).
Result<> copy_mounts();

// Into the mount namespace of the process of that pidfd, and to its root. Needs CAP_SYS_ADMIN,
// CAP_SYS_CHROOT and CAP_SYS_PTRACE over it.
Result<> enter_mounts_of(int pidfd);

}  // namespace tare::sys
