// What is said of a session that is held (LiveRun::is_held). Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "host/live_run.h"

namespace tare::host {

// Why, what becomes of it, and what can be done.
std::string held_text(const LiveRun& live);
// The same, to whoever wants something of it.
Error is_held_error(const LiveRun& live);

}  // namespace tare::host
