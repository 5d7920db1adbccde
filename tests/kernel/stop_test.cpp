// A live sandbox stands still while what it has changed is read, and goes on.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/launcher.h"
#include "support/patience.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

using model::EndReason;

// Counts in /count for good, as root inside; has made a folder of the platform's anew.
model::SandboxSpec counting() {
  model::SandboxSpec spec = shell_spec(
      "rm -r /var && mkdir /var /var/below; ln -s /etc /var/link; i=0; echo 0 > /count\n"
      "echo up; while :; do i=$((i+1)); echo $i > /count.new; mv /count.new /count; done");
  spec.uid = spec.gid = 0;
  spec.limits.time_ms = 0;
  return spec;
}

class Stop : public ::testing::Test {
 protected:
  void SetUp() override {
    live_ = launcher_.launch(counting());
    char up[3];
    ASSERT_EQ(::read(live_.out.get(), up, 3), 3);
  }
  template <class Message>
  Message wait_for(std::vector<sys::UniqueFd>* fds = nullptr) {
    for (;;) {
      auto message = launcher_.next(fds);
      if (auto* wanted = std::get_if<Message>(&message)) return std::move(*wanted);
    }
  }
  sandbox::StoppedMessage stop() {
    launcher_.send(sandbox::StopMessage{live_.id});
    fds_.clear();
    return wait_for<sandbox::StoppedMessage>(&fds_);
  }
  std::string count() const { return sys::read_file_at(fds_.at(0).get(), "count").value_or(""); }
  bool moves() const {
    const std::string before = count();
    for (int i = 0; i < patience_ms(500); ++i) {
      if (const std::string now = count(); !now.empty() && now != before) return true;
      ::usleep(10'000);
    }
    return false;
  }
  bool stands() const {
    const std::string before = count();
    ::usleep(100'000);
    return count() == before;
  }

  TestLauncher launcher_;
  TestLauncher::Live live_;
  std::vector<sys::UniqueFd> fds_;
};

TEST_F(Stop, it_stands_still_shows_its_upper_and_goes_on) {
  const auto stopped = stop();
  ASSERT_EQ(stopped.error, "");
  ASSERT_EQ(fds_.size(), 3U);
  EXPECT_GT(stopped.uid_base, 0U);
  EXPECT_TRUE(stands());
  EXPECT_FALSE(count().empty());
  const std::string opaque = read_to_end(fds_[1].get());
  EXPECT_THAT(opaque, ::testing::HasSubstr(std::string("var\0", 4)));
  EXPECT_THAT(opaque, ::testing::Not(::testing::HasSubstr("link")));
  EXPECT_TRUE(sys::read_file_at(fds_[2].get(), "etc/passwd")) << "what lies below, on `host`";
  launcher_.send(sandbox::GoOnMessage{live_.id});
  EXPECT_TRUE(moves());
}

TEST_F(Stop, a_second_freeze_meanwhile_is_refused_and_a_later_one_is_not) {
  ASSERT_EQ(stop().error, "");
  EXPECT_THAT(stop().error, ::testing::HasSubstr("being frozen already"));
  launcher_.send(sandbox::GoOnMessage{live_.id});
  EXPECT_EQ(stop().error, "");
}

TEST_F(Stop, a_kill_reaches_one_that_stands_still) {
  ASSERT_EQ(stop().error, "");
  launcher_.send(sandbox::KillMessage{live_.id});
  EXPECT_EQ(launcher_.finish(std::move(live_)).ended.outcome.reason, EndReason::killed);
}

// What was made of it is all that is kept: what it did after that, and told, would be lost.
TEST_F(Stop, one_that_is_killed_as_it_stands_does_nothing_any_more) {
  ASSERT_EQ(stop().error, "");
  const std::string before = count();
  launcher_.send(sandbox::KillMessage{live_.id});
  wait_for<sandbox::EndedMessage>();
  EXPECT_EQ(count(), before);
}

TEST_F(Stop, it_goes_on_when_tared_is_gone) {
  ASSERT_EQ(stop().error, "");
  launcher_.disconnect();
  EXPECT_TRUE(moves());
  launcher_.connect();
}

TEST_F(Stop, one_that_has_ended_shows_its_upper_until_it_is_released) {
  launcher_.send(sandbox::KillMessage{live_.id});
  wait_for<sandbox::EndedMessage>();
  EXPECT_EQ(stop().error, "");
  ASSERT_EQ(fds_.size(), 3U);
  EXPECT_NE(count(), "");
  launcher_.send(sandbox::GoOnMessage{live_.id});
  EXPECT_EQ(stop().error, "");
  launcher_.send(sandbox::ReleaseMessage{live_.id});
  EXPECT_NE(stop().error, "");
}

// Both are there before the launcher reads either.
TEST_F(Stop, a_kill_right_behind_it_leaves_nobody_without_an_answer) {
  for (int i = 0; i < 10; ++i) {
    model::SandboxSpec spec = counting();
    spec.id = fresh_run_id();
    const TestLauncher::Live live = launcher_.launch(spec);
    char up[3];
    ASSERT_EQ(::read(live.out.get(), up, 3), 3);
    ASSERT_EQ(::kill(launcher_.pid(), SIGSTOP), 0);
    launcher_.send(sandbox::StopMessage{spec.id});
    launcher_.send(sandbox::KillMessage{spec.id});
    ASSERT_EQ(::kill(launcher_.pid(), SIGCONT), 0);
    (void)wait_for<sandbox::StoppedMessage>(&fds_);  // it is too late, or it was in time
    (void)wait_for<sandbox::EndedMessage>();
    launcher_.send(sandbox::ReleaseMessage{spec.id});
  }
}

// The one that kills it may not know yet that it has ended.
TEST_F(Stop, a_kill_of_one_that_has_ended_keeps_nobody_from_reading_it) {
  launcher_.send(sandbox::KillMessage{live_.id});
  (void)wait_for<sandbox::EndedMessage>();
  ASSERT_EQ(::kill(launcher_.pid(), SIGSTOP), 0);
  launcher_.send(sandbox::StopMessage{live_.id});
  launcher_.send(sandbox::KillMessage{live_.id});
  ASSERT_EQ(::kill(launcher_.pid(), SIGCONT), 0);
  EXPECT_EQ(wait_for<sandbox::StoppedMessage>(&fds_).error, "");
  EXPECT_NE(count(), "");
  launcher_.send(sandbox::ReleaseMessage{live_.id});
}

TEST_F(Stop, one_that_is_not_there_is_an_error) {
  launcher_.send(sandbox::StopMessage{fresh_run_id()});
  EXPECT_THAT(wait_for<sandbox::StoppedMessage>().error, ::testing::HasSubstr("not running"));
}

TEST_F(Stop, a_limit_of_time_ends_one_that_stands_still) {
  model::SandboxSpec spec = counting();
  spec.id = fresh_run_id();
  spec.limits.time_ms = static_cast<std::uint64_t>(patience_ms(500));
  live_ = launcher_.launch(spec);
  char up[3];
  ASSERT_EQ(::read(live_.out.get(), up, 3), 3);
  ASSERT_EQ(stop().error, "");
  EXPECT_EQ(launcher_.finish(std::move(live_)).ended.outcome.reason, EndReason::timeout);
}

}  // namespace
}  // namespace tare::testing
