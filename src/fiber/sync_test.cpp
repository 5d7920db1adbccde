// Contexts, timers, task groups, events and gates: how fibers wait for each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fiber/event.h"
#include "fiber/gate.h"
#include "fiber/task_group.h"
#include "fiber/test_support.h"
#include "fiber/timer.h"

namespace tare::fiber {
namespace {

using namespace std::chrono_literals;

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
                    // Work after the cancellation, with a context of its own, is waited for as
                    // well.
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

}  // namespace
}  // namespace tare::fiber
