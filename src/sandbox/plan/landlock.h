// The second wall around a program: Landlock rules, as steps of the base plan, for the version that
// the kernel has. Pure.
//
// Behind mounts and permissions, for the day that one of them is wrong, or an image's permissions
// are loose: a program that is not root changes nothing outside its home, /output, /tmp, /var/tmp
// and the memory folders in /dev; nobody makes device files, or sends ioctl to one outside /dev;
// and an environment build, which shares the host's network, cannot reach the host's abstract
// sockets. Root inside may write to all of its own copy of the environment: that is what it is for.
// Executing is not restricted: scripts in /input and programs built in /output are wanted. Nor is
// TCP: no route leads out, and in a build it is wanted. Nor are signals: another PID namespace and
// other ids stand there, and programs that are executed into one sandbox have domains of their own.
#pragma once

#include <vector>

#include "sandbox/plan/codec.h"
#include "sandbox/plan/compile.h"

namespace tare::sandbox {

// None below ABI 2 (Linux 5.19), which could not allow a rename from one folder to another.
std::vector<Step> landlock_steps(const BaseKind& kind, int abi);

}  // namespace tare::sandbox
