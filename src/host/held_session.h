// A session that is held (LiveRun::is_held): what is said of it, and to whoever wants something of
// it.
#pragma once

#include <string>

#include "base/result.h"
#include "fiber/context.h"
#include "host/live_run.h"

namespace tare::host {

// Why, what becomes of it, and what can be done.
std::string held_text(const LiveRun& live);
Error is_held_error(const LiveRun& live);
// Until it has been tried once more to keep its files: that which hindered it may just have been
// removed. Errors: is_held_error(), when it is held on; cancelled.
Result<> until_not_held(LiveRun& live, const fiber::Context& ctx);

}  // namespace tare::host
