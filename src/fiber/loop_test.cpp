#include "fiber/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "fiber/event.h"
#include "fiber/gate.h"
#include "fiber/offload.h"
#include "fiber/signals.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"

namespace tare::fiber {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<Loop> make_loop() { return std::move(Loop::create()).value(); }

Errc code_of(const Result<>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? Errc::internal : result.error().code;
}

TEST(Loop, a_root_fiber_runs_and_run_returns_when_it_has_ended) {
  auto loop = make_loop();
  bool ran = false;
  loop->spawn([&](const Context&) { ran = true; });
  EXPECT_FALSE(ran);
  loop->run();
  EXPECT_TRUE(ran);
}

TEST(Loop, fibers_run_in_the_order_they_were_spawned_and_take_turns) {
  auto loop = make_loop();
  std::string order;
  for (char name : {'a', 'b', 'c'}) {
    loop->spawn([&order, name](const Context&) {
      order += name;
      yield();
      order += static_cast<char>(name - 'a' + 'A');
    });
  }
  loop->run();
  EXPECT_EQ(order, "abcABC");
}

TEST(Loop, ten_thousand_fibers_wait_at_the_same_time) {
  auto loop = make_loop();
  Event go;
  int waiting = 0;
  int done = 0;
  constexpr int kFibers = 10'000;
  loop->spawn([&](const Context& ctx) {
    TaskGroup group(ctx);
    for (int i = 0; i < kFibers; ++i) {
      group.spawn([&](const Context& task) {
        ++waiting;
        if (go.wait(task).ok()) ++done;
      });
    }
    while (waiting < kFibers) yield();
    go.notify_all();
    group.join();
  });
  loop->run();
  EXPECT_EQ(done, kFibers);
}

TEST(Loop, stop_cancels_what_waits_and_run_returns) {
  auto loop = make_loop();
  Errc seen = Errc::internal;
  loop->spawn([&](const Context& ctx) { seen = code_of(sleep_for(24h, ctx)); });
  loop->spawn([&](const Context&) { loop->stop(); });
  loop->run();
  EXPECT_EQ(seen, Errc::cancelled);
}

TEST(Loop, stop_works_from_another_thread) {
  auto loop = make_loop();
  Errc seen = Errc::internal;
  loop->spawn([&](const Context& ctx) { seen = code_of(sleep_for(24h, ctx)); });
  std::thread other([&] { loop->stop_from_any_thread(); });
  loop->run();
  other.join();
  EXPECT_EQ(seen, Errc::cancelled);
}

TEST(Loop, posts_from_many_threads_all_run_on_the_loop) {
  auto loop = make_loop();
  constexpr int kThreads = 4;
  constexpr int kPosts = 5'000;
  int count = 0;
  Event changed;
  loop->spawn([&](const Context& ctx) {
    ASSERT_TRUE(changed.wait_until([&] { return count == kThreads * kPosts; }, ctx).ok());
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kPosts; ++i) {
        loop->post([&] {
          ++count;
          changed.notify_all();
        });
      }
    });
  }
  loop->run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kPosts);
}

struct Witness {
  explicit Witness(int& counter) : alive(&counter) { ++*alive; }
  Witness(Witness&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
  ~Witness() {
    if (alive != nullptr) --*alive;
  }
  int* alive;
};

TEST(Loop, destroying_a_loop_cancels_its_waiting_fibers_and_frees_what_they_own) {
  int alive = 0;
  std::vector<Errc> seen;
  {
    Event never;
    auto loop = make_loop();
    for (int i = 0; i < 100; ++i) {
      loop->spawn([&, witness = Witness(alive)](const Context& ctx) {
        TaskGroup group(ctx);
        group.spawn([&](const Context& task) { seen.push_back(code_of(never.wait(task))); });
        seen.push_back(code_of(sleep_for(24h, ctx)));
      });
    }
    loop->run_ready();
    loop->run_ready();
    EXPECT_EQ(alive, 100);
    EXPECT_TRUE(seen.empty());
    loop.reset();
  }
  EXPECT_EQ(alive, 0);
  EXPECT_THAT(seen, testing::Each(Errc::cancelled));
  EXPECT_EQ(seen.size(), 200U);
}

TEST(Loop, destroying_a_loop_drops_fibers_that_never_started) {
  int alive = 0;
  {
    auto loop = make_loop();
    loop->spawn([witness = Witness(alive)](const Context&) { FAIL() << "must not run"; });
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Loop, an_exception_caught_inside_a_fiber_survives_waits_in_its_handler) {
  auto loop = make_loop();
  int caught = 0;
  for (int i = 0; i < 10; ++i) {
    loop->spawn([&, i](const Context& ctx) {
      try {
        throw i;
      } catch (int) {
        ASSERT_TRUE(sleep_for(1ms * (10 - i), ctx).ok());
        try {
          throw;
        } catch (int again) {
          EXPECT_EQ(again, i);
          ++caught;
        }
      }
    });
  }
  loop->run();
  EXPECT_EQ(caught, 10);
}

TEST(LoopDeathTest, a_fiber_that_overflows_its_stack_dies_on_the_guard_page) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer reports the overflow in its own way";
#endif
  struct Deep {
    static int descend(int depth) {
      volatile char frame[4096];
      frame[0] = static_cast<char>(depth);
      return depth == 0 ? 0 : descend(depth - 1) + frame[0];
    }
  };
  auto overflow = [] {
    (void)run_fiber([](const Context&) -> Result<> {
      if (Deep::descend(1'000) == 42) return Error{Errc::internal, "unreachable"};
      return {};
    });
  };
  EXPECT_EXIT(overflow(), testing::KilledBySignal(SIGSEGV), "");
}

TEST(Context, a_child_ends_with_its_parent_but_not_the_other_way) {
  CancelScope parent(Context::background());
  CancelScope child(parent.context());
  CancelScope sibling(parent.context());
  child.cancel();
  EXPECT_TRUE(child.context().cancelled());
  EXPECT_FALSE(parent.context().cancelled());
  EXPECT_FALSE(sibling.context().cancelled());
  parent.cancel();
  EXPECT_TRUE(sibling.context().cancelled());
  EXPECT_EQ(code_of(sibling.context().check()), Errc::cancelled);
}

TEST(Context, a_scope_made_below_a_cancelled_one_is_cancelled) {
  CancelScope parent(Context::background());
  parent.cancel();
  CancelScope child(parent.context());
  EXPECT_TRUE(child.context().cancelled());
}

TEST(Context, a_context_outlives_its_scope_and_is_cancelled_by_its_end) {
  Context kept = Context::background();
  {
    CancelScope scope(Context::background());
    kept = scope.context();
    EXPECT_TRUE(kept.check().ok());
  }
  EXPECT_EQ(code_of(kept.check()), Errc::cancelled);
}

TEST(Context, a_deadline_can_only_be_brought_forward) {
  const TimePoint soon = Clock::now() + 1h;
  const Context ctx = Context::background().with_deadline(soon);
  EXPECT_EQ(ctx.with_timeout(24h).deadline(), soon);
  EXPECT_LT(ctx.with_timeout(1min).deadline(), soon);
  EXPECT_EQ(Context::background().with_timeout(Duration::max()).deadline(), std::nullopt);
}

TEST(Timer, sleepers_wake_in_the_order_of_their_times_and_then_of_arrival) {
  auto loop = make_loop();
  std::vector<int> order;
  const TimePoint start = Clock::now();
  auto sleeper = [&](int name, Duration after) {
    loop->spawn([&order, name, due = start + after](const Context& ctx) {
      ASSERT_TRUE(sleep_until(due, ctx).ok());
      EXPECT_GE(Clock::now(), due);
      order.push_back(name);
    });
  };
  sleeper(3, 30ms);
  sleeper(1, 10ms);
  sleeper(21, 20ms);
  sleeper(22, 20ms);
  sleeper(23, 20ms);
  sleeper(0, -5ms);
  loop->run();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 21, 22, 23, 3}));
}

TEST(Timer, a_deadline_before_the_wake_up_time_is_a_timeout) {
  ASSERT_TRUE(run_fiber([](const Context& ctx) -> Result<> {
                EXPECT_EQ(code_of(sleep_for(24h, ctx.with_timeout(1ms))), Errc::timeout);
                EXPECT_EQ(code_of(sleep_for(24h, ctx.with_timeout(-1ms))), Errc::timeout);
                return {};
              }).ok());
}

TEST(TaskGroup, join_waits_for_every_task) {
  int done = 0;
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                TaskGroup group(ctx);
                for (int i = 0; i < 100; ++i) {
                  group.spawn([&, i](const Context& task) {
                    if (sleep_for(std::chrono::microseconds(i * 37 % 100), task).ok()) ++done;
                  });
                }
                EXPECT_EQ(group.size(), 100U);
                group.join();
                EXPECT_EQ(done, 100);
                return {};
              }).ok());
}

TEST(TaskGroup, its_destructor_cancels_and_waits) {
  Errc seen = Errc::internal;
  bool cleaned_up = false;
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                {
                  TaskGroup group(ctx);
                  group.spawn([&](const Context& task) {
                    seen = code_of(sleep_for(24h, task));
                    // Work after the cancellation, with a context of its own, is waited for as well.
                    if (sleep_for(2ms, Context::background()).ok()) cleaned_up = true;
                  });
                  yield();
                }
                EXPECT_TRUE(cleaned_up);
                return {};
              }).ok());
  EXPECT_EQ(seen, Errc::cancelled);
}

TEST(TaskGroup, a_tasks_captures_are_gone_when_join_returns) {
  int alive = 0;
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                TaskGroup group(ctx);
                group.spawn([witness = Witness(alive)](const Context&) { yield(); });
                EXPECT_EQ(alive, 1);
                group.join();
                EXPECT_EQ(alive, 0);
                return {};
              }).ok());
}

TEST(TaskGroup, join_can_be_given_up) {
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                TaskGroup group(ctx);
                group.spawn([](const Context& task) { (void)sleep_for(24h, task); });
                EXPECT_EQ(code_of(group.join(ctx.with_timeout(1ms))), Errc::timeout);
                EXPECT_EQ(group.size(), 1U);
                return {};
              }).ok());
}

TEST(Event, notify_one_wakes_the_longest_waiting_fiber) {
  auto loop = make_loop();
  Event event;
  std::string order;
  for (char name : {'a', 'b', 'c'}) {
    loop->spawn([&, name](const Context& ctx) {
      if (event.wait(ctx).ok()) order += name;
    });
  }
  loop->spawn([&](const Context& ctx) {
    event.notify_one();
    ASSERT_TRUE(sleep_for(1ms, ctx).ok());
    EXPECT_EQ(order, "a");
    event.notify_all();
  });
  loop->run();
  EXPECT_EQ(order, "abc");
}

TEST(Event, a_waiter_that_was_cancelled_and_notified_at_once_gets_the_first_of_them) {
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                for (const bool cancel_first : {false, true}) {
                  Event event;
                  CancelScope scope(ctx);
                  TaskGroup group(ctx);
                  Result<> seen;
                  group.spawn([&](const Context&) { seen = event.wait(scope.context()); });
                  yield();
                  if (cancel_first) scope.cancel();
                  event.notify_all();
                  scope.cancel();
                  group.join();
                  EXPECT_EQ(seen.ok(), !cancel_first);
                }
                return {};
              }).ok());
}

TEST(Event, a_wait_with_an_ended_context_does_not_suspend) {
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                Event event;
                CancelScope scope(ctx);
                scope.cancel();
                EXPECT_EQ(code_of(event.wait(scope.context())), Errc::cancelled);
                EXPECT_EQ(code_of(event.wait(ctx.with_timeout(0ms))), Errc::timeout);
                return {};
              }).ok());
}

TEST(Gate, its_owner_waits_until_the_last_user_has_left) {
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                Gate gate;
                bool left = false;
                TaskGroup group(ctx);
                group.spawn([&](const Context& task) {
                  auto pass = gate.enter();
                  ASSERT_TRUE(pass.ok());
                  ASSERT_TRUE(sleep_for(2ms, task).ok());
                  left = true;
                });
                yield();
                EXPECT_EQ(gate.users(), 1U);
                gate.close();
                EXPECT_EQ(gate.enter().error().code, Errc::unavailable);
                TRY(gate.wait_empty(ctx));
                EXPECT_TRUE(left);
                group.join();
                return {};
              }).ok());
}

TEST(Offload, the_fiber_gets_the_functions_result_while_others_run) {
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                Offload offload(2, 16);
                const auto loop_thread = std::this_thread::get_id();
                bool other_ran = false;
                TaskGroup group(ctx);
                group.spawn([&](const Context&) { other_ran = true; });
                std::string text = "before";
                auto length = offload.run(
                    [&]() -> Result<std::size_t> {
                      EXPECT_NE(std::this_thread::get_id(), loop_thread);
                      text = "written by the worker";
                      return text.size();
                    },
                    ctx);
                EXPECT_EQ(TRY(std::move(length)), text.size());
                EXPECT_TRUE(other_ran);
                auto failed = offload.run(
                    []() -> Result<int> { return Error{Errc::conflict, "no"}; }, ctx);
                EXPECT_EQ(failed.error().code, Errc::conflict);
                group.join();
                return {};
              }).ok());
}

// Holds a worker until released, so that a test decides what is queued and what runs.
struct Latch {
  std::mutex mutex;
  std::condition_variable changed;
  bool entered = false, released = false;
  Result<> hold() {
    std::unique_lock lock(mutex);
    entered = true;
    changed.notify_all();
    changed.wait(lock, [this] { return released; });
    return {};
  }
  void release() {
    const std::lock_guard lock(mutex);
    released = true;
    changed.notify_all();
  }
  bool has_entered() {
    const std::lock_guard lock(mutex);
    return entered;
  }
};

TEST(Offload, a_queued_job_can_be_cancelled_a_running_one_is_waited_for) {
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                Offload offload(1, 1);
                Latch latch;
                CancelScope scope(ctx);
                bool ran = false;
                Result<> running = Error{}, queued, refused;
                TaskGroup group(ctx);
                group.spawn([&](const Context&) {
                  running = offload.run([&] { return latch.hold(); }, scope.context());
                });
                while (!latch.has_entered()) yield();
                group.spawn([&](const Context&) {
                  queued = offload.run([&]() -> Result<> { ran = true; return {}; }, scope.context());
                });
                yield();
                refused = offload.run([]() -> Result<> { return {}; }, ctx);
                EXPECT_EQ(code_of(refused), Errc::exhausted);
                scope.cancel();
                yield();
                EXPECT_EQ(code_of(queued), Errc::cancelled);
                EXPECT_FALSE(running.ok());  // still held
                latch.release();
                group.join();
                EXPECT_TRUE(running.ok());
                EXPECT_FALSE(ran);
                return {};
              }).ok());
}

TEST(Offload, thousands_of_jobs_all_complete) {
  int sum = 0;
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                Offload offload(4, 10'000);
                TaskGroup group(ctx);
                for (int i = 1; i <= 2'000; ++i) {
                  group.spawn([&, i](const Context& task) {
                    sum += std::move(offload.run([i]() -> Result<int> { return i; }, task)).value();
                  });
                }
                group.join();
                return {};
              }).ok());
  EXPECT_EQ(sum, 2'000 * 2'001 / 2);
}

TEST(Signals, a_signal_is_a_value) {
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                auto signals = TRY(Signals::block({SIGUSR1, SIGUSR2}));
                EXPECT_EQ(signals.wait(ctx.with_timeout(1ms)).error().code, Errc::timeout);
                TaskGroup group(ctx);
                int first = 0;
                group.spawn([&](const Context& task) { first = signals.wait(task).value(); });
                yield();
                EXPECT_EQ(::kill(::getpid(), SIGUSR2), 0);
                group.join();
                EXPECT_EQ(first, SIGUSR2);
                return {};
              }).ok());
}

}  // namespace
}  // namespace tare::fiber
