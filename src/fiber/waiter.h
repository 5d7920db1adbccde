// Waiter: the one way a fiber sleeps. Lives on the stack of the waiting fiber; is linked in the
// list of what it waits for, in its Context's list, and in the timer queue; the first of them to
// wake it wins. Private to src/fiber. Loop thread only.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/scheduler.h"
#include "fiber/wait_list.h"

namespace tare::fiber {

enum class Wake : std::uint8_t { none, notified, timeout, cancelled };

class Waiter {
 public:
  Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // To be put in the list of what is waited for.
  WaitLink& link() { return link_; }

  // Makes the fiber ready unless it was woken already. Never runs it at once.
  void wake(Wake reason);

  // Its timer is due and has left the queue. It may have been woken for another reason a moment
  // before and not have run since.
  void expire();

  // Suspends until woken; leaves every list. Ok when notified. After it the Waiter can be used
  // again.
  Result<> wait(const Context& ctx);

 private:
  Scheduler& scheduler_;
  Fiber* fiber_;
  WaitLink link_;
  WaitLink cancel_link_;
  Wake wake_ = Wake::none;
  bool suspended_ = false;
  bool timed_ = false;  // a timer of it is in the scheduler's queue
};

}  // namespace tare::fiber
