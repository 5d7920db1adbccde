// Scheduler: the inside of a Loop: ready queue, timers, posts from other threads, and the switch
// between fibers. Private to src/fiber. Loop thread only, except post().
#pragma once

#include <atomic>
#include <boost/context/fiber.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "fiber/poller.h"
#include "fiber/sanitizer.h"
#include "fiber/stack.h"
#include "fiber/time.h"
#include "fiber/unique_function.h"

namespace tare::fiber {

class Waiter;

// What the C++ runtime keeps for each thread about exceptions in flight; each fiber needs its own.
struct ExceptionState {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

struct Fiber {
  UniqueFunction<void()> body;
  boost::context::fiber inside;   // where it goes on, while it does not run
  boost::context::fiber outside;  // where the scheduler goes on, while it runs
  SanitizerStack stack;
  ExceptionState exceptions;
  bool ended = false;
};

using TimerQueue = std::multimap<TimePoint, Waiter*>;

// Transfers a socket may make in a row before it gives others a turn.
inline constexpr int kIoBudget = 16;

class Scheduler {
 public:
  static Result<std::unique_ptr<Scheduler>> create();
  ~Scheduler();

  // The scheduler whose run() this thread is in.
  static Scheduler& current();
  // Null outside a fiber.
  Fiber* running() const { return running_; }

  void start(UniqueFunction<void()> body);
  void make_ready(Fiber& fiber) { ready_.push_back(&fiber); }
  // Leaves the running fiber until make_ready().
  void suspend();
  void yield();
  // Called at each transfer that did not have to wait.
  void spend();

  TimerQueue::iterator add_timer(TimePoint due, Waiter& waiter) {
    return timers_.emplace(due, &waiter);
  }
  void remove_timer(TimerQueue::iterator timer) { timers_.erase(timer); }

  void run();
  bool run_ready();
  std::size_t live() const { return live_; }
  void drop_unstarted();

  Poller& poller() { return *poller_; }
  void post(UniqueFunction<void()> function);

 private:
  explicit Scheduler(std::unique_ptr<Poller> poller) : poller_(std::move(poller)) {}
  bool run_batch();
  void run_posts();
  void fire_timers();
  void resume(Fiber& fiber);
  std::optional<Duration> sleep_time() const;

  std::unique_ptr<Poller> poller_;
  StackPool stacks_;
  std::deque<Fiber*> ready_;
  TimerQueue timers_;
  Fiber* running_ = nullptr;
  SanitizerStack own_stack_;
  ExceptionState own_exceptions_;
  std::size_t live_ = 0;
  int budget_ = 0;

  std::mutex posts_mutex_;
  std::vector<UniqueFunction<void()>> posts_;
  std::atomic<bool> has_posts_ = false;
};

}  // namespace tare::fiber
