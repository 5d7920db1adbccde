// Loop: one thread that runs fibers and sleeps in epoll when none can go on. A fiber is a function
// with a stack of its own (stack.h): it waits by calling a function that returns a Result, and
// others run meanwhile.
//
//   auto loop = TRY(Loop::create());
//   loop->spawn([&](const Context& ctx) { serve(ctx); });
//   loop->run();                       // until every fiber has ended
//
// Owner: main (or a test). One thread runs it; only post() and stop_from_any_thread() may be called
// by others. A fiber always ends by returning: it is never unwound from outside, so waiting in a
// destructor is allowed, and no private exception passes through anyone's code. Exceptions must not
// leave a fiber's function (the process ends). What never happens: two fibers of a loop run at the
// same time.
#pragma once

#include <memory>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/unique_function.h"

namespace tare::fiber {

class Scheduler;  // scheduler.h, private to src/fiber

class Loop {
 public:
  static Result<std::unique_ptr<Loop>> create();
  // Cancels what still waits and runs it to its end. Fibers that never started are dropped.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // A root fiber, owned by the loop. Its Context ends when the loop is stopped. Everything else
  // belongs to a TaskGroup.
  void spawn(UniqueFunction<void(const Context&)> body);

  // Runs until every fiber has ended.
  void run();
  // Runs what can go on without sleeping; true if any fiber ran. For tests and simulations.
  bool run_ready();

  // Cancels every root fiber's Context; run() returns when the last has ended.
  void stop();
  void stop_from_any_thread();

  // Runs the function on the loop's thread, outside any fiber (it must not wait). May be called by
  // any thread as long as the loop exists.
  void post(UniqueFunction<void()> function);

  Scheduler& scheduler() { return *scheduler_; }  // for src/fiber only

 private:
  explicit Loop(std::unique_ptr<Scheduler> scheduler);

  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<CancelScope> root_;
};

// Gives other ready fibers a turn. Loops that never wait call it now and then.
void yield();

// Runs `body` as the only root fiber of a new loop and returns what it returned. For main of a
// client program, and for tests.
Result<> run_fiber(UniqueFunction<Result<>(const Context&)> body);

}  // namespace tare::fiber
