#include "fiber/task_group.h"

#include "fiber/scheduler.h"

namespace tare::fiber {

TaskGroup::~TaskGroup() {
  cancel();
  join();
}

void TaskGroup::spawn(UniqueFunction<void(const Context&)> body) {
  ++running_;
  Scheduler::current().start([this, body = std::move(body)]() mutable {
    body(scope_.context());
    body = {};  // before the count: what the task owns must be gone when join() returns
    if (--running_ == 0) all_done_.notify_all();
  });
}

void TaskGroup::join() {
  // Never ends but by the last task: nobody can cancel the background.
  while (running_ != 0) CHECK(join(Context::background()).ok());
}

Result<> TaskGroup::join(const Context& ctx) {
  return all_done_.wait_until([this] { return running_ == 0; }, ctx);
}

}  // namespace tare::fiber
