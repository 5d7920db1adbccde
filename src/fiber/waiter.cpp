#include "fiber/waiter.h"

#include "fiber/cancel_state.h"

namespace tare::fiber {

Waiter::Waiter()
    : scheduler_(Scheduler::current()),
      fiber_(scheduler_.running()),
      link_(this),
      cancel_link_(this) {
  CHECK(fiber_ != nullptr);  // only a fiber can wait
}

void Waiter::wake(Wake reason) {
  if (wake_ != Wake::none) return;
  wake_ = reason;
  if (suspended_) scheduler_.make_ready(*fiber_);
}

void Waiter::expire() {
  timed_ = false;
  wake(Wake::timeout);
}

Result<> Waiter::wait(const Context& ctx) {
  CHECK(scheduler_.running() == fiber_);
  if (wake_ == Wake::none) {
    if (auto ended = ctx.check(); !ended) {
      link_.unlink();
      return ended;
    }
    if (ctx.cancel_ != nullptr) ctx.cancel_->waiting().push_back(cancel_link_);
    timed_ = ctx.deadline_ != TimePoint::max();
    TimerQueue::iterator timer;
    if (timed_) timer = scheduler_.add_timer(ctx.deadline_, *this);
    suspended_ = true;
    scheduler_.suspend();
    suspended_ = false;
    if (std::exchange(timed_, false)) scheduler_.remove_timer(timer);
    cancel_link_.unlink();
  }
  link_.unlink();
  switch (std::exchange(wake_, Wake::none)) {
    case Wake::notified: return {};
    case Wake::timeout: return Error{Errc::timeout, "the deadline has passed", 0};
    case Wake::cancelled: return Error{Errc::cancelled, "cancelled", 0};
    case Wake::none: break;
  }
  CHECK(!"a fiber was resumed without being woken");
  return Error{};
}

}  // namespace tare::fiber
