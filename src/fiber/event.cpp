#include "fiber/event.h"

#include "fiber/gate.h"
#include "fiber/waiter.h"

namespace tare::fiber {

void Event::notify_all() {
  while (Waiter* waiter = waiting_.pop_front()) waiter->wake(Wake::notified);
}

void Event::notify_one() {
  if (Waiter* waiter = waiting_.pop_front()) waiter->wake(Wake::notified);
}

Result<> Event::wait(const Context& ctx) {
  Waiter waiter;
  waiting_.push_back(waiter.link());
  return waiter.wait(ctx);
}

Result<Gate::Pass> Gate::enter() {
  if (closed_) return Error{Errc::unavailable, "it is being shut down", 0};
  ++users_;
  return Pass(this);
}

void Gate::leave() {
  if (--users_ == 0) empty_.notify_all();
}

Result<> Gate::wait_empty(const Context& ctx) {
  return empty_.wait_until([this] { return users_ == 0; }, ctx);
}

}  // namespace tare::fiber
