// Landlock: the calling process can from now on write, create, link, rename and remove only beneath
// one folder, whatever its uid and capabilities; reading stays as it was. For good, and inherited.
// A second wall behind open_beneath, for a process that parses hostile input; and the names of the
// rights, for the plans of sandboxes.
// Sources: landlock(7), landlock_create_ruleset(2). Needs no_new_privs.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace tare::sys {

// The version that this kernel has; 0: none.
int landlock_abi();

// Spelt out: Debian 12's headers (6.1) stop at ABI 2.
namespace landlock {
inline constexpr std::uint64_t kTruncate = std::uint64_t{1} << 14;             // ABI 3
inline constexpr std::uint64_t kIoctlOnDevices = std::uint64_t{1} << 15;       // ABI 5
inline constexpr std::uint64_t kScopeAbstractSockets = std::uint64_t{1} << 0;  // ABI 6
}  // namespace landlock

// Every right to change something in a file system that this version knows of.
std::uint64_t landlock_write_rights(int abi);

// False when this kernel has no Landlock (the caller decides what that means); an error when it has
// and refuses.
Result<bool> confine_writes_beneath(int dir);

}  // namespace tare::sys
