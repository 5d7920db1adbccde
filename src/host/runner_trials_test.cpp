// What is remembered of trials, for how long, and who waits for whom. The trials themselves, and
// their sandboxes, run for real in tests/e2e/runner_swap_test.py.
#include "host/runner_trials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "fiber/loop.h"
#include "fiber/timer.h"

namespace tare::host {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

model::Runner runner(std::string version = "2") {
  model::Runner runner;
  runner.manifest.name = "echo";
  runner.manifest.version = std::move(version);
  runner.manifest.handshake = {"sh", "-c", "echo"};
  runner.digest = "sha256:" + std::string(64, runner.manifest.version.front());
  return runner;
}

std::shared_ptr<LiveRun> session(const std::string& environment = "sha256:e",
                                 std::vector<std::string> variables = {}) {
  auto live = std::make_shared<LiveRun>();
  live->run.id = "run_" + environment;
  live->run.state = model::RunState::running;
  live->run.request.session = true;
  live->run.request.runner = "echo@1";
  live->run.request.environment_digest = environment;
  live->run.request.environment_layers = {environment};
  live->run.request.env = std::move(variables);
  live->started = sandbox::StartedMessage{live->run.id, 0};
  return live;
}

class RunnerTrialsTest : public testing::Test, protected LogSink {
 protected:
  void write(std::string_view line) override { logged_ += line; }

  void in_fiber(const std::function<void(RunnerTrials&, const fiber::Context&)>& body) {
    const auto ran = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
      TrialPorts ports{
          .try_in_scratch = [this](
                                const LiveRun& live, const model::Runner& tried,
                                const fiber::Context& task) { return attempt(live, tried, task); },
          .sessions = [this] { return sessions_; }};
      RunnerTrials trials(clock_, log_, layers_, std::move(ports), ctx);
      body(trials, ctx);
      open();
      return ok();
    });
    ASSERT_TRUE(ran);
  }
  Result<> attempt(const LiveRun& live, const model::Runner& tried, const fiber::Context& ctx) {
    tried_.push_back(live.run.id + " " + tried.manifest.version);
    TRY(opened_.wait_until([&] { return open_; }, ctx));
    return answer_;
  }
  void close() { open_ = false; }
  void open() {
    open_ = true;
    opened_.notify_all();
  }

  ManualClock clock_;
  const Logger log_{*this, clock_};
  LayerGate layers_;
  std::vector<std::shared_ptr<LiveRun>> sessions_;
  std::vector<std::string> tried_;
  Result<> answer_;
  bool open_ = true;
  fiber::Event opened_;
  std::string logged_;
};

TEST_F(RunnerTrialsTest, what_was_good_is_not_tried_again_and_all_it_rests_on_counts) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    EXPECT_TRUE(trials.good_in(*session(), runner(), ctx));
    EXPECT_TRUE(trials.good_in(*session(), runner(), ctx));
    clock_.advance_ms(1000ULL * 3600 * 24 * 365);  // the bytes of both never change
    EXPECT_TRUE(trials.good_in(*session(), runner(), ctx));
    EXPECT_EQ(tried_.size(), 1U);
    const auto counts = [&](const std::shared_ptr<LiveRun>& live, const model::Runner& wanted) {
      const std::size_t before = tried_.size();
      EXPECT_TRUE(trials.good_in(*live, wanted, ctx));
      return tried_.size() == before + 1;
    };
    EXPECT_TRUE(counts(session(), runner("3")));
    EXPECT_TRUE(counts(session("sha256:f"), runner()));
    EXPECT_TRUE(counts(session("sha256:e", {"A=b"}), runner()));
    const auto other = [](auto change) {
      auto live = session();
      change(live->run.request);
      return live;
    };
    EXPECT_TRUE(counts(other([](auto& request) { request.user = "root"; }), runner()));
    EXPECT_TRUE(counts(other([](auto& request) { request.cwd = "/tmp"; }), runner()));
    EXPECT_TRUE(counts(other([](auto& request) { request.limits.memory_bytes = 1; }), runner()));
    EXPECT_TRUE(counts(other([](auto& request) { request.profile = "strict"; }), runner()));
    EXPECT_FALSE(counts(session(), runner()));
  });
}

TEST_F(RunnerTrialsTest, what_failed_is_tried_again_and_says_what_the_runner_needs) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    auto wanted = runner();
    wanted.manifest.needs = {"python3"};
    answer_ = Error{Errc::conflict, "the handshake failed: with status 3"};
    for (int i = 0; i < 2; ++i) {
      const auto refused = trials.good_in(*session(), wanted, ctx);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Errc::conflict);
      EXPECT_EQ(refused.error().message,
                "runner echo@2 is no good in this environment (it needs python3): the handshake "
                "failed: with status 3");
    }
    answer_ = ok();
    EXPECT_TRUE(trials.good_in(*session(), wanted, ctx));
    EXPECT_TRUE(trials.good_in(*session(), wanted, ctx));
    EXPECT_EQ(tried_.size(), 3U);
  });
}

TEST_F(RunnerTrialsTest, on_a_host_it_is_forgotten_after_its_time) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    const auto on_host = session("");
    const auto hour = static_cast<std::uint64_t>(std::chrono::milliseconds(kHostMemory).count());
    EXPECT_TRUE(trials.good_in(*on_host, runner(), ctx));
    clock_.advance_ms(hour - 1);
    EXPECT_TRUE(trials.good_in(*on_host, runner(), ctx));
    EXPECT_EQ(tried_.size(), 1U);
    clock_.advance_ms(1);
    EXPECT_TRUE(trials.good_in(*on_host, runner(), ctx));
    EXPECT_EQ(tried_.size(), 2U);
    EXPECT_TRUE(trials.good_in(*on_host, runner(), ctx));
    EXPECT_EQ(tried_.size(), 2U);
  });
}

TEST_F(RunnerTrialsTest, where_a_program_of_the_host_comes_from_must_be_plain_to_be_remembered) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    const auto odd = session("", {"PATH=bin:/usr/bin"});
    EXPECT_TRUE(trials.good_in(*odd, runner(), ctx));
    EXPECT_TRUE(trials.good_in(*odd, runner(), ctx));
    EXPECT_EQ(tried_.size(), 2U);
  });
}

TEST_F(RunnerTrialsTest, no_more_are_remembered_than_may_be) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    const auto nth = [](std::size_t n) { return session(fmt::format("sha256:{}", n)); };
    for (std::size_t n = 0; n < kMostTrials; ++n)
      EXPECT_TRUE(trials.good_in(*nth(n), runner(), ctx));
    EXPECT_TRUE(trials.good_in(*nth(0), runner(), ctx));
    EXPECT_EQ(tried_.size(), kMostTrials);  // all of them are known
    EXPECT_TRUE(trials.good_in(*nth(kMostTrials), runner(), ctx));
    tried_.clear();
    EXPECT_TRUE(trials.good_in(*nth(kMostTrials), runner(), ctx));
    EXPECT_THAT(tried_, IsEmpty());
    EXPECT_TRUE(trials.good_in(*nth(0), runner(), ctx));
    EXPECT_EQ(tried_.size(), 1U);
  });
}

TEST_F(RunnerTrialsTest, who_wants_to_know_the_same_meanwhile_waits_for_the_one_trial) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    close();
    std::vector<bool> answers;
    fiber::TaskGroup asking(ctx);
    for (int i = 0; i < 3; ++i) {
      asking.spawn([&](const fiber::Context& task) {
        answers.push_back(trials.good_in(*session(), runner(), task).ok());
      });
    }
    asking.spawn([&](const fiber::Context& task) {  // another one does not wait for it
      (void)trials.good_in(*session("sha256:f"), runner(), task);
    });
    for (int i = 0; i < 3; ++i) fiber::yield();
    EXPECT_THAT(answers, IsEmpty());
    EXPECT_THAT(tried_, ElementsAre("run_sha256:e 2", "run_sha256:f 2"));
    answer_ = Error{Errc::conflict, "no"};
    open();
    asking.join();
    EXPECT_THAT(answers, ElementsAre(false, false, false));  // its failure is theirs, too
    EXPECT_EQ(tried_.size(), 2U);
    answer_ = ok();
    EXPECT_TRUE(trials.good_in(*session(), runner(), ctx));
  });
}

TEST_F(RunnerTrialsTest, one_that_was_added_is_tried_where_a_session_could_be_given_it) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    sessions_ = {session("sha256:asleep"), session("sha256:awake"), session("sha256:other"),
                 session("sha256:over"), session("sha256:begins")};
    sessions_[0]->run.state = model::RunState::hibernated;
    sessions_[0]->started.reset();
    sessions_[2]->run.request.runner = "another@1";
    sessions_[3]->kill_wanted = true;
    sessions_[4]->started.reset();
    trials.try_ahead(runner(), ctx);
    EXPECT_THAT(tried_, ElementsAre("run_sha256:awake 2", "run_sha256:asleep 2"));
    EXPECT_TRUE(trials.good_in(*sessions_[1], runner(), ctx));
    trials.try_ahead(runner(), ctx);
    EXPECT_EQ(tried_.size(), 2U);
    sessions_[2]->runner = model::SessionRunner{"echo@1", "sha256:1", true, {}, {}};
    answer_ = Error{Errc::conflict, "the handshake failed"};
    trials.try_ahead(runner(), ctx);
    EXPECT_EQ(tried_.back(), "run_sha256:other 2");
    EXPECT_THAT(logged_, HasSubstr("no good for a session"));
  });
}

TEST_F(RunnerTrialsTest, no_more_are_tried_ahead_than_may_be) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    for (std::size_t n = 0; n < kMostTriedAhead + 3; ++n) {
      sessions_.push_back(session(fmt::format("sha256:{}", n)));
      sessions_.push_back(session(fmt::format("sha256:{}", n)));  // of the same environment
    }
    trials.try_ahead(runner(), ctx);
    EXPECT_EQ(tried_.size(), kMostTriedAhead);
  });
}

TEST_F(RunnerTrialsTest, a_swap_that_comes_while_it_is_tried_ahead_waits_for_that) {
  in_fiber([&](RunnerTrials& trials, const fiber::Context& ctx) {
    close();
    sessions_ = {session()};
    // Who adds it does not wait for longer than it may.
    trials.try_ahead(runner(), ctx.with_timeout(1ms));
    EXPECT_EQ(tried_.size(), 1U);
    fiber::TaskGroup swapping(ctx);
    bool good = false;
    swapping.spawn([&](const fiber::Context& task) {
      good = trials.good_in(*sessions_[0], runner(), task).ok();
    });
    fiber::yield();
    EXPECT_FALSE(good);
    // Its layer is not removed meanwhile.
    EXPECT_FALSE(layers_.readers_gone(ctx.with_timeout(1ms)));
    open();
    swapping.join();
    EXPECT_TRUE(good);
    EXPECT_EQ(tried_.size(), 1U);
    EXPECT_TRUE(layers_.readers_gone(ctx));
  });
}

}  // namespace
}  // namespace tare::host
