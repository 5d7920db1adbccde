// Landlock: the calling process can from now on write, create, link, rename and remove only beneath
// one folder, whatever its uid and capabilities; reading stays as it was. For good, and inherited.
// A second wall behind open_beneath, for a process that parses hostile input.
// Sources: landlock(7), landlock_create_ruleset(2). Needs no_new_privs.
#pragma once

#include "base/result.h"

namespace tare::sys {

// False when this kernel has no Landlock (the caller decides what that means); an error when it has
// and refuses.
Result<bool> confine_writes_beneath(int dir);

}  // namespace tare::sys
