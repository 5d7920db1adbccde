// Event: what fibers wait on for a condition that another fiber changes. It remembers nothing: test
// the condition first, as with a condition variable; no lock is needed, for fibers of a loop never
// run at once.
//
//   TRY(changed.wait_until([&] { return !queue.empty(); }, ctx));
//
// Owner: what the condition is about. Loop thread only; notify may also be called outside a fiber.
// Errors: Errc::cancelled, Errc::timeout. What never happens: an Event dies while a fiber waits on
// it (CHECK).
#pragma once

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/wait_list.h"

namespace tare::fiber {

class Event {
 public:
  void notify_all();
  // Wakes the fiber that has waited longest.
  void notify_one();

  Result<> wait(const Context& ctx);

  // Waits until the condition holds; tests it first. `ready` must not wait.
  template <class Condition>
  Result<> wait_until(Condition ready, const Context& ctx) {
    while (!ready()) TRY(wait(ctx));
    return {};
  }

 private:
  WaitList waiting_;
};

}  // namespace tare::fiber
