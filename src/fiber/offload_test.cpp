#include "fiber/offload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "fiber/signals.h"
#include "fiber/task_group.h"
#include "fiber/test_support.h"

namespace tare::fiber {
namespace {

using namespace std::chrono_literals;

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
                  queued = offload.run(
                      [&]() -> Result<> {
                        ran = true;
                        return {};
                      },
                      scope.context());
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
  constexpr int kJobs = kManyFibers / 5;
  int sum = 0;
  ASSERT_TRUE(run_fiber([&](const Context& ctx) -> Result<> {
                Offload offload(4, 10'000);
                TaskGroup group(ctx);
                for (int i = 1; i <= kJobs; ++i) {
                  group.spawn([&, i](const Context& task) {
                    sum += std::move(offload.run([i]() -> Result<int> { return i; }, task)).value();
                  });
                }
                group.join();
                return {};
              }).ok());
  EXPECT_EQ(sum, kJobs * (kJobs + 1) / 2);
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
