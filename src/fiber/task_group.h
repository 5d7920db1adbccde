// TaskGroup: the owner of fibers. Every fiber but a root belongs to one, and none outlives it: the
// destructor cancels their Context and then waits for them, so what they refer to must be declared
// before the group.
//
//   TaskGroup group(ctx);
//   group.spawn([&](const Context& task) { pump(a, b, task); });
//   group.spawn([&](const Context& task) { pump(b, a, task); });
//   group.join();          // or leave the scope: cancel, then join
//
// Owner: a fiber (it waits in join and in the destructor). Loop thread only.
// What never happens: a detached fiber.
#pragma once

#include <cstddef>

#include "fiber/context.h"
#include "fiber/event.h"
#include "fiber/unique_function.h"

namespace tare::fiber {

class TaskGroup {
 public:
  explicit TaskGroup(const Context& parent) : scope_(parent) {}
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts a fiber; it first runs when the caller waits. Also allowed after cancel(): it then
  // starts with a Context that has ended.
  void spawn(UniqueFunction<void(const Context&)> body);

  // Ends the Context of all its fibers; does not wait.
  void cancel() { scope_.cancel(); }
  // Waits until all have ended; no deadline and no cancellation, see the other form.
  void join();
  // The same, given up when ctx ends (the fibers go on).
  Result<> join(const Context& ctx);

  // Fibers that have not ended.
  std::size_t size() const { return running_; }
  const Context& context() const { return scope_.context(); }

 private:
  CancelScope scope_;
  std::size_t running_ = 0;
  Event all_done_;
};

}  // namespace tare::fiber
