// Sleeping fibers. Call from a fiber. Errors: Errc::cancelled, or Errc::timeout when the Context's
// own deadline comes first. Ends not before the time asked for; fibers due at the same time wake in
// the order they slept.
#pragma once

#include "base/result.h"
#include "fiber/context.h"

namespace tare::fiber {

Result<> sleep_for(Duration duration, const Context& ctx);
Result<> sleep_until(TimePoint time, const Context& ctx);

}  // namespace tare::fiber
