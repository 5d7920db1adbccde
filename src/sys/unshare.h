// Leaving namespaces that were inherited. Source: unshare(2). The caller must be single-threaded.
#pragma once

#include "base/result.h"

namespace tare::sys {

// A network namespace of one's own with nothing in it but a `lo` that is down. Unix sockets at a
// path still work.
Result<> leave_network();

// A copy of the mount namespace. Its mounts are shared with the old one's until they are made
// private (mountfs.h).
Result<> copy_mounts();

}  // namespace tare::sys
