// A maker dies before a call of its own, while it makes a sandbox for a run or takes its remains
// away: the launcher forks another one, and the run, if there is one, gets another sandbox and ends
// once, as what it is.
#include <stdlib.h>
#include <unistd.h>

#include "kill_matrix.h"

namespace tare::testing {
namespace {

class KillMatrixMakers : public KillMatrix {
 protected:
  void maker_dies_in(const Sweep& sweep) {
    const std::size_t makers = makers_of(launcher_.pid()).size();
    hold(sweep, [&](std::optional<Stepper>& stepper, Stops stop, Live live) {
      kill_held(stepper, stop);
      if (sweep.phase == Phase::launch) ends_once(finish(std::move(live)).outcome);
      settle();
      EXPECT_EQ(makers_of(launcher_.pid()).size(), makers);
      EXPECT_EQ(launcher_.run(shell_spec("echo next")).out, "next\n");
    });
  }

  static void ends_once(const model::Outcome& outcome) {
    EXPECT_EQ(outcome.reason, EndReason::exited) << described(outcome);
    EXPECT_EQ(outcome.exit_code, 7);
  }
};

TEST_F(KillMatrixMakers, sigkill_of_a_maker_that_makes_for_a_run_costs_that_only_time) {
  maker_dies_in({.what = "maker", .who = Stepped::maker, .ends = true});
}

TEST_F(KillMatrixMakers, sigkill_of_a_maker_that_makes_an_image_costs_the_run_only_time) {
  maker_dies_in({.what = "maker with an image",
                 .who = Stepped::maker,
                 .shape = {.image = true},
                 .ends = true});
}

TEST_F(KillMatrixMakers, sigkill_of_a_maker_that_removes_leaves_nothing) {
  maker_dies_in({.what = "maker, removal", .who = Stepped::maker, .phase = Phase::release});
  maker_dies_in({.what = "maker, removal of an image",
                 .who = Stepped::maker,
                 .phase = Phase::release,
                 .shape = {.image = true}});
}

TEST_F(KillMatrixMakers, sigkill_of_all_makers_at_once_costs_no_run_that_has_started) {
  Live live = launcher_.launch(shell_spec("sleep 1000"));
  EXPECT_TRUE(starts(live.id));
  for (int round = 0; round < 3; ++round) {
    const auto makers = makers_of(launcher_.pid());
    for (const pid_t pid : makers) EXPECT_EQ(::kill(pid, SIGKILL), 0);
    Live next = launcher_.launch(shell_spec("exit 7"));  // before their death is known, or after
    ends_once(end_of(next.id).outcome);
    launcher_.send(sandbox::ReleaseMessage{next.id});
    for (const pid_t pid : makers) {
      while (::kill(pid, 0) == 0) ::usleep(1'000);
    }
    EXPECT_EQ(launcher_.run(shell_spec("echo next")).out, "next\n");
    EXPECT_EQ(makers_of(launcher_.pid()).size(), makers.size());
  }
  launcher_.send(sandbox::KillMessage{live.id});
  EXPECT_EQ(finish(std::move(live)).outcome.reason, EndReason::killed);
}

// A minute for each maker: only in the full matrix.
TEST_F(KillMatrixMakers, makers_that_hang_are_replaced_and_the_run_goes_on) {
  if (::getenv("TARE_KILL_MATRIX") == nullptr) GTEST_SKIP() << "takes minutes: ./dev test full";
  const auto makers = makers_of(launcher_.pid());
  for (const pid_t pid : makers) EXPECT_EQ(::kill(pid, SIGSTOP), 0);
  Live live = launcher_.launch(shell_spec("exit 7"));
  for (;;) {
    const auto message = launcher_.next(nullptr, 200'000);
    if (const auto* ended = std::get_if<EndedMessage>(&message)) {
      ends_once(ended->outcome);
      break;
    }
  }
  launcher_.send(sandbox::ReleaseMessage{live.id});
  const auto after = makers_of(launcher_.pid());
  EXPECT_EQ(after.size(), makers.size());
  for (const pid_t pid : makers) ::kill(pid, SIGCONT);  // those that had nothing to do
  EXPECT_EQ(launcher_.run(shell_spec("echo next")).out, "next\n");
}

// Nobody waits for what an end leaves to be taken away: neither who is told of the end nor the next
// run. Each maker is held before whatever it does next.
TEST_F(KillMatrixMakers, an_end_is_told_before_any_removal_and_the_next_launch_waits_for_none) {
  if (makers_of(launcher_.pid()).size() < 2) GTEST_SKIP() << "one maker on this machine";
  Live live = launcher_.launch(shell_spec("sleep 1000"));
  EXPECT_TRUE(starts(live.id));
  Stepper stepper(launcher_.pid(), Stepped::maker);
  launcher_.send(sandbox::KillMessage{live.id});
  EXPECT_EQ(end_of(live.id).outcome.reason, EndReason::killed);
  launcher_.send(sandbox::ReleaseMessage{live.id});
  const auto stop = stepper.run_to(1, [](const Stop&) { return false; });
  ASSERT_TRUE(stop);
  const auto left = [&] { return sandbox_cgroups_of(launcher_.home()); };
  const auto remains = left();
  EXPECT_THAT(remains, ::testing::Not(::testing::IsEmpty()));
  EXPECT_EQ(launcher_.run(shell_spec("echo next")).out, "next\n");
  for (const std::string& one : remains) EXPECT_THAT(left(), ::testing::Contains(one));
  stepper.let_go();
  settle();
}

// What the other one has just cloned is not taken for what the dead one has left.
TEST_F(KillMatrixMakers, sigkill_of_a_maker_does_no_harm_to_what_another_one_makes) {
  if (makers_of(launcher_.pid()).size() < 2) GTEST_SKIP() << "one maker on this machine";
  const Sweep first = {.what = "two makers", .who = Stepped::maker};
  hold(first, [this](std::optional<Stepper>& stepper, Stops, Live held) {
    Live other = launcher_.launch(shell_spec("exit 7"));
    ::usleep(static_cast<useconds_t>(500 * deeds_ % 5000));
    const auto makers = makers_of(launcher_.pid());
    // Whichever it is that makes the other one: at some moments it is this.
    EXPECT_EQ(::kill(makers.back(), SIGKILL), 0);
    stepper.reset();
    std::optional<EndedMessage> ended;
    while (!ended) {
      const auto message = launcher_.next();
      if (const auto* end = std::get_if<EndedMessage>(&message)) ended = *end;
    }
    EXPECT_EQ(ended->id, other.id);
    ends_once(ended->outcome);
    launcher_.send(sandbox::ReleaseMessage{other.id});
    launcher_.send(sandbox::KillMessage{held.id});
    const model::Outcome outcome = finish(std::move(held)).outcome;
    EXPECT_EQ(outcome.reason, EndReason::killed) << described(outcome);
  });
}

}  // namespace
}  // namespace tare::testing
