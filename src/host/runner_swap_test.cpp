// The order of a swap's steps, and what each failure of one leaves behind. The steps themselves are
// taken for real in tests/e2e (runner_swap_test.py, swap_faults_test.py, swap_matrix_test.py).
#include "host/runner_swap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "fiber/loop.h"
#include "fiber/task_group.h"

namespace tare::host {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kId = "run_1";

model::Runner runner(std::string version) {
  model::Runner runner;
  runner.manifest.name = "echo";
  runner.digest = "sha256:" + version;
  runner.manifest.version = std::move(version);
  return runner;
}

class RunnerSwapTest : public testing::Test, protected LogSink {
 protected:
  RunnerSwapTest() : live_(std::make_shared<LiveRun>()) {
    live_->run.id = kId;
    live_->run.request.session = true;
    live_->run.request.runner = "echo@1";
    live_->run.request.runner_digest = "sha256:1";
    stands();
  }
  void write(std::string_view) override {}
  void stands() {
    live_->run.state = model::RunState::running;
    live_->started = sandbox::StartedMessage{kId, 0};
  }
  // Its sandbox has gone, and it is kept, as RunDriver does it.
  void sleeps() {
    live_->run.state = model::RunState::hibernated;
    live_->started.reset();
    live_->discarded = false;
    ++live_->sleeps;
    if (live_->runner) live_->runner = model::known_good(*live_->runner);
    live_->changed.notify_all();
  }
  // A step was come to: is it to fail?
  Result<> step(const std::string& name) {
    steps_.push_back(name);
    if (before_) before_(name);
    const auto failing = fail_.find(name);
    if (failing == fail_.end() || failing->second == 0) return ok();
    --failing->second;
    return Error{Errc::exhausted, name + " was refused"};
  }
  SwapPorts ports() {
    return {.live = [this](const std::string& id) { return id == kId ? live_ : nullptr; },
            .running = [this](const std::string&) -> Result<std::shared_ptr<LiveRun>> {
              if (live_->hibernates()) {
                TRY(step("wake"));
                stands();
              }
              return live_;
            },
            .find = [this](const model::RunnerRef& ref) -> Result<model::Runner> {
              TRY(step("find " + ref.text()));
              return runner(ref.version.empty() ? "2" : ref.version);
            },
            .validate = [this](const LiveRun&, const model::Runner&) { return step("validate"); },
            .settle = [this](const LiveRun&) { return step("settle"); },
            .record = [this](const LiveRun&, const model::SessionRunner& wanted) -> Result<> {
              TRY(step(wanted.confirmed ? "confirmed" : "announced"));
              row_ = wanted;
              return ok();
            },
            .exchange = [this](LiveRun&, const model::Runner&, bool& touched) -> Result<bool> {
              touched = touched_;
              TRY(step("exchange"));
              touched = true;
              return true;
            },
            .confirm = [this](LiveRun&, const model::Runner&, bool) { return step("confirm"); },
            .end_sandbox =
                [this](const std::string&) {
                  steps_.push_back("end");
                  if (keeps_) return sleeps();
                  live_->ended.emplace();
                  live_->unkept = Error{Errc::conflict, "the secret \"key\" is in \"env\""};
                  live_->held = true;
                }};
  }
  void in_fiber(const std::function<void(RunnerSwap&, const fiber::Context&)>& body) {
    const auto ran = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
      RunnerSwap swap(ports(), layers_, log_, ctx);
      body(swap, ctx);
      return ok();
    });
    ASSERT_TRUE(ran);
    EXPECT_FALSE(live_->getting_runner || live_->swapping || live_->uses > 0) << "it holds on";
  }
  std::string refusal(RunnerSwap& swap, const std::string& wanted = "echo@2") {
    const auto swapped = swap.swap(kId, wanted);
    return swapped ? "not refused" : swapped.error().message;
  }
  static bool is_good(const std::optional<model::SessionRunner>& runner, const char* reference) {
    return runner && runner->confirmed && runner->reference == reference;
  }

  RealClock clock_;
  const Logger log_{*this, clock_};
  LayerGate layers_;
  std::shared_ptr<LiveRun> live_;
  std::optional<model::SessionRunner> row_;  // on the disk
  std::vector<std::string> steps_;
  std::map<std::string, int> fail_;  // how often
  std::function<void(const std::string& name)> before_;
  bool touched_ = false;  // by an exchange that fails
  bool keeps_ = true;     // a discarded one can be kept at once
};

TEST_F(RunnerSwapTest, is_announced_before_anything_is_done_and_recorded_when_it_is_good) {
  before_ = [this](const std::string& name) {
    EXPECT_TRUE(live_->getting_runner);
    const bool half = name == "exchange" || name == "confirm" || name == "confirmed";
    EXPECT_EQ(live_->is_half_changed(), half) << name;
    EXPECT_EQ(live_->swapping, name != "validate" && !name.starts_with("find")) << name;
  };
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    const auto swapped = swap.swap(kId, "");
    ASSERT_TRUE(swapped) << swapped.error().message;
    EXPECT_EQ(swapped->reference(), "echo@2");
  });
  EXPECT_THAT(steps_, ElementsAre("find echo", "validate", "settle", "announced", "exchange",
                                  "confirm", "confirmed"));
  EXPECT_TRUE(is_good(row_, "echo@2"));
  EXPECT_EQ(live_->runner, row_);
}

TEST_F(RunnerSwapTest, a_trial_that_fails_or_a_version_that_is_not_there_leaves_all_as_it_was) {
  for (const char* failing : {"find echo@2", "validate", "settle", "announced"}) {
    fail_ = {{failing, 1}};
    steps_.clear();
    in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
      EXPECT_THAT(refusal(swap), HasSubstr("was refused")) << failing;
    });
    EXPECT_EQ(steps_.back(), failing);
    EXPECT_FALSE(live_->runner);
    EXPECT_FALSE(row_);
    EXPECT_TRUE(live_->started && !live_->discarded);
  }
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    EXPECT_THAT(refusal(swap, "other@1"), HasSubstr("the session has echo"));
    EXPECT_TRUE(swap.swap(kId, "echo@2"));  // nothing of it stays
  });
}

TEST_F(RunnerSwapTest, an_exchange_that_did_not_begin_is_taken_back) {
  live_->runner = model::SessionRunner{"echo@7", "sha256:7", true, {}, {}};
  fail_ = {{"exchange", 1}};
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    EXPECT_THAT(refusal(swap), HasSubstr("exchange was refused"));
  });
  EXPECT_THAT(steps_, ElementsAre("find echo@2", "validate", "settle", "announced", "exchange",
                                  "confirmed"));
  EXPECT_TRUE(is_good(row_, "echo@7"));
  EXPECT_EQ(live_->runner, row_);
  EXPECT_FALSE(live_->discarded);
}

TEST_F(RunnerSwapTest, what_fails_once_it_has_begun_costs_the_sandbox_and_is_done_once_more) {
  for (const char* failing : {"exchange", "confirm", "confirmed"}) {
    touched_ = true;
    fail_ = {{failing, 1}};
    steps_.clear();
    live_->runner.reset();
    in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
      EXPECT_TRUE(swap.swap(kId, "echo@2")) << failing;
    });
    EXPECT_EQ(std::ranges::count(steps_, "end"), 1) << failing;
    EXPECT_EQ(std::ranges::count(steps_, "wake"), 1) << failing;
    EXPECT_EQ(std::ranges::count(steps_, "validate"), 1) << failing;
    EXPECT_EQ(steps_.back(), "confirmed");
    EXPECT_TRUE(is_good(live_->runner, "echo@2"));
  }
}

TEST_F(RunnerSwapTest, what_fails_in_every_sandbox_is_refused_and_it_has_the_runner_of_before) {
  fail_ = {{"confirm", RunnerSwap::kTries}};
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    EXPECT_THAT(refusal(swap), HasSubstr("it goes on in a fresh one with echo@1"));
  });
  EXPECT_EQ(std::ranges::count(steps_, "end"), RunnerSwap::kTries);
  EXPECT_TRUE(live_->hibernates());
  EXPECT_TRUE(is_good(live_->runner, "echo@1"));
}

TEST_F(RunnerSwapTest, one_whose_files_cannot_be_kept_is_held_and_not_woken_as_what_it_once_was) {
  keeps_ = false;
  fail_ = {{"confirm", 1}};
  live_->run.attempt = 2;
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    EXPECT_THAT(refusal(swap), testing::AllOf(HasSubstr("run_1 is held"), HasSubstr("\"key\""),
                                              HasSubstr("confirm was refused")));
  });
  EXPECT_EQ(std::ranges::count(steps_, "end"), 1);
  EXPECT_THAT(steps_, testing::Not(testing::Contains("wake")));
  EXPECT_TRUE(live_->is_held());
}

TEST_F(RunnerSwapTest, one_that_lost_what_it_had_written_is_not_given_another_runner) {
  fail_ = {{"confirm", 1}};
  live_->run.attempt = 2;  // which was not kept: it sleeps as what it was before that
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    EXPECT_THAT(refusal(swap), HasSubstr("lost, with what was written since it was last kept"));
  });
  EXPECT_THAT(steps_, testing::Not(testing::Contains("wake")));
}

TEST_F(RunnerSwapTest, two_at_once_are_one_and_the_other_is_told) {
  fiber::Event go_on;
  bool waits = false;
  before_ = [&](const std::string& name) {
    if (name != "validate" || waits) return;
    waits = true;
    EXPECT_TRUE(go_on.wait(fiber::Context::background()));
  };
  in_fiber([&](RunnerSwap& swap, const fiber::Context& ctx) {
    fiber::TaskGroup first(ctx);
    first.spawn([&](const fiber::Context&) { EXPECT_TRUE(swap.swap(kId, "echo@2")); });
    fiber::yield();
    ASSERT_TRUE(waits);
    const auto before = steps_;
    EXPECT_THAT(refusal(swap, "echo@3"), HasSubstr("gets another runner already"));
    EXPECT_EQ(steps_, before);
    // Who removes a version waits until nobody is about to use it.
    EXPECT_FALSE(layers_.readers_gone(ctx.with_timeout(1ms)));
    go_on.notify_all();
    first.join();
    EXPECT_TRUE(layers_.readers_gone(ctx));
  });
  EXPECT_TRUE(is_good(live_->runner, "echo@2"));
}

TEST_F(RunnerSwapTest, one_that_ends_or_falls_asleep_meanwhile_is_left_alone) {
  before_ = [this](const std::string& name) {
    if (name == "settle") live_->kill_wanted = true;
  };
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    EXPECT_THAT(refusal(swap), HasSubstr("has ended, or gone to sleep, meanwhile"));
  });
  EXPECT_THAT(steps_, testing::Not(testing::Contains("announced")));
  EXPECT_FALSE(row_);
}

TEST_F(RunnerSwapTest, one_that_sleeps_is_woken_and_a_run_or_one_without_a_runner_is_refused) {
  sleeps();
  in_fiber([&](RunnerSwap& swap, const fiber::Context&) {
    EXPECT_TRUE(swap.swap(kId, "echo@2"));
    EXPECT_EQ(steps_.front(), "wake");
    live_->run.request.runner.clear();
    EXPECT_THAT(refusal(swap), HasSubstr("was made without a runner"));
    live_->run.request.session = false;
    EXPECT_THAT(refusal(swap), HasSubstr("is a run, and keeps the runner"));
  });
}

}  // namespace
}  // namespace tare::host
