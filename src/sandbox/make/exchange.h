// Mounts another runner in a sandbox that stands still, by a process of our own that enters its
// mount namespace and never comes back from it.
//
// What the sandbox was made with is locked by the kernel, also for us, and stays where it is; the
// new one is mounted over it. What a former exchange has mounted there is taken off before. So
// there are never more than two. It is done when what the name finds in there is the very mount
// that was made of the new one's layer, read-only: not a copy of it, not one below it, not the old
// one.
//
// Process: a maker, single-threaded. Cost: a fork, ten calls. Errors: the kernel's.
// What never happens: a name of the sandbox's is followed through a symlink, or a process of its
// finds out.
// Sources: setns(2), openat2(2), move_mount(2), umount(2), statx(2), mount_namespaces(7) (locked
// mounts).
#pragma once

#include "base/result.h"

namespace tare::sandbox {

// `init`: a pidfd of its tare-init. `runner`: a detached mount (rootfs/stage.h). After an error
// `touched` says whether its mounts may be other ones than before.
Result<> exchange_runner(int init, int runner, bool& touched);

}  // namespace tare::sandbox
