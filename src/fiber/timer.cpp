#include "fiber/timer.h"

#include "fiber/waiter.h"

namespace tare::fiber {

Result<> sleep_until(TimePoint time, const Context& ctx) {
  TRY(ctx.check());
  Waiter waiter;
  auto woken = waiter.wait(ctx.with_deadline(time));
  CHECK(!woken);  // nobody notifies a sleeper
  if (woken.error().code == Errc::timeout && time <= ctx.deadline().value_or(TimePoint::max())) {
    return {};
  }
  return woken;
}

Result<> sleep_for(Duration duration, const Context& ctx) {
  const TimePoint now = Clock::now();
  return sleep_until(duration > TimePoint::max() - now ? TimePoint::max() : now + duration, ctx);
}

}  // namespace tare::fiber
