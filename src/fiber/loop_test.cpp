#include "fiber/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "fiber/event.h"
#include "fiber/task_group.h"
#include "fiber/test_support.h"
#include "fiber/timer.h"

namespace tare::fiber {
namespace {

using namespace std::chrono_literals;

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
  constexpr int kFibers = kManyFibers;
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

// Notified first, due a moment later, run only after both: the timer is gone by then and must not
// be taken out a second time.
TEST(Event, a_fiber_that_was_notified_just_before_its_deadline_is_notified) {
  in_fiber([](const Context& ctx) -> Result<> {
    constexpr int kRounds = 20;
    for (int round = 0; round < kRounds; ++round) {
      Event event;
      const TimePoint due = Clock::now() + std::chrono::milliseconds(2);
      TaskGroup group(ctx);
      for (int i = 0; i < 4; ++i) {
        group.spawn(
            [&](const Context& own) { EXPECT_TRUE(event.wait(own.with_deadline(due)).ok()); });
      }
      yield();  // all four wait
      event.notify_all();
      while (Clock::now() <= due) {  // holds the loop until the deadline has passed
      }
      group.join();
      TRY(sleep_for(std::chrono::milliseconds(1), ctx));  // the timers still work
    }
    return {};
  });
}

}  // namespace
}  // namespace tare::fiber
