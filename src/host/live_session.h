// A session that something can be done with as a whole: hibernate it, fork it, checkpoint it.
//
// Loop thread only. Errors: Errc::conflict for one that has ended, ends or is just being started;
// not_found; cancelled.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "fiber/context.h"
#include "host/run_service.h"

namespace tare::host {

// It is awake, or sleeps. One that is on its way to sleep, or gets another runner, is waited for.
Result<std::shared_ptr<LiveRun>> live_session(RunService& runs, const std::string& id,
                                              const fiber::Context& ctx);

}  // namespace tare::host
