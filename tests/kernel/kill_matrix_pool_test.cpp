// A sandbox waits, a run claims it, and another one is made in its place:
//
//   dies \ held before a call of  tare-launcher  the waiting one's  a maker and the one being made
//   tare-launcher                 claim          yes                yes
//   a maker                       -              -                  yes
//   tare-init, the program        idle           yes                yes
//   all, by a kill message        claim          yes                -
//   tared (its connection)        claim          yes                -
#include <unistd.h>

#include "kill_matrix.h"

namespace tare::testing {
namespace {

// Waiting sandboxes, one at a time, are killed; the next run must not notice.
class IdleKillMatrix : public KillMatrix {
 protected:
  IdleKillMatrix() : KillMatrix(2) {}
};

TEST_F(WarmKillMatrix, sigkill_of_the_launcher_around_a_claim_leaves_nothing) {
  launcher_dies_in({.what = "launcher, claim", .who = Stepped::launcher});
  launcher_dies_in({.what = "maker, for the pool", .who = Stepped::maker});
  launcher_dies_in({.what = "tare-init, for the pool", .who = Stepped::init});
  launcher_dies_in({.what = "program, for the pool", .who = Stepped::program});
  launcher_dies_in({.what = "tare-init, claimed", .who = Stepped::init, .waiting = true});
  launcher_dies_in({.what = "program, claimed", .who = Stepped::program, .waiting = true});
}

TEST_F(WarmKillMatrix, a_kill_message_around_a_claim_ends_the_run_once_as_killed) {
  message_kills_in({.what = "launcher, claim", .who = Stepped::launcher});
  message_kills_in(
      {.what = "tare-init, claimed", .who = Stepped::init, .ends = true, .waiting = true});
  message_kills_in(
      {.what = "program, claimed", .who = Stepped::program, .ends = true, .waiting = true});
}

TEST_F(WarmKillMatrix, a_lost_connection_around_a_claim_loses_no_run) {
  tared_dies_in({.what = "launcher, claim", .who = Stepped::launcher});
  tared_dies_in({.what = "tare-init, claimed", .who = Stepped::init, .waiting = true});
  tared_dies_in({.what = "program, claimed", .who = Stepped::program, .waiting = true});
}

// A failure to make is no reason to try again at once, so the launcher is started anew each time.
TEST_F(WarmKillMatrix, whoever_dies_while_one_is_made_for_the_pool_the_run_goes_on) {
  for (const Sweep& sweep : {Sweep{.what = "maker, for the pool", .who = Stepped::maker},
                             Sweep{.what = "tare-init, for the pool", .who = Stepped::init},
                             Sweep{.what = "program, for the pool", .who = Stepped::program}}) {
    const std::size_t makers = makers_of(launcher_.pid()).size();
    hold(sweep, [&](std::optional<Stepper>& stepper, Stops stop, Live live) {
      kill_held(stepper, stop);
      launcher_.send(sandbox::KillMessage{live.id});
      const model::Outcome outcome = finish(std::move(live)).outcome;
      EXPECT_EQ(outcome.reason, EndReason::killed) << described(outcome);
      while (pool_now().making > 0) ::usleep(2'000);  // or it would be given to the next
      EXPECT_EQ(launcher_.run(shell_spec("echo next")).out, "next\n");
      EXPECT_EQ(makers_of(launcher_.pid()).size(), makers);
      kill_launcher(stepper);
    });
  }
}

// Before it has read its order nothing of the run was done, and another sandbox takes the run.
TEST_F(WarmKillMatrix, sigkill_of_a_claimed_tare_init_ends_the_run_once) {
  const Sweep sweep = {
      .what = "tare-init, claimed", .who = Stepped::init, .ends = true, .waiting = true};
  hold(sweep, [this](std::optional<Stepper>& stepper, Stops stop, Live live) {
    kill_held(stepper, stop);
    const model::Outcome outcome = finish(std::move(live)).outcome;
    if (!stop || stop->reports == 3) {
      EXPECT_EQ(outcome.reason, EndReason::exited) << described(outcome);
    } else {
      EXPECT_THAT(outcome.reason, ::testing::AnyOf(EndReason::daemon_error, EndReason::exited))
          << described(outcome);
    }
    EXPECT_EQ(outcome.exit_code, outcome.reason == EndReason::exited ? 7 : 0);
  });
}

TEST_F(WarmKillMatrix, sigkill_of_a_claimed_program_before_its_call_ends_the_run_once) {
  const Sweep sweep = {
      .what = "program, claimed", .who = Stepped::program, .ends = true, .waiting = true};
  hold(sweep, [this](std::optional<Stepper>& stepper, Stops stop, Live live) {
    kill_held(stepper, stop);
    const model::Outcome outcome = finish(std::move(live)).outcome;
    if (stop) {
      EXPECT_THAT(outcome.reason, ::testing::AnyOf(EndReason::signalled, EndReason::setup_failed))
          << described(outcome);
    } else {
      EXPECT_EQ(outcome.reason, EndReason::exited);
      EXPECT_EQ(outcome.exit_code, 7);
    }
  });
}

TEST_F(IdleKillMatrix, a_waiting_sandbox_that_dies_is_replaced) {
  for (const bool program : {false, true}) {
    const std::uint64_t dropped = pool_now().dropped;
    const pid_t init = inits_of(launcher_.home()).at(0);
    EXPECT_EQ(::kill(program ? program_of(init) : init, SIGKILL), 0);
    while (pool_now().dropped == dropped) ::usleep(2'000);
    settle();
    const RunResult result = launcher_.run(shell_spec("exit 7"));
    EXPECT_EQ(result.ended.outcome.exit_code, 7) << described(result.ended.outcome);
    EXPECT_TRUE(result.started && result.started->warm);
    settle();
  }
}

TEST_F(IdleKillMatrix, a_run_is_never_given_a_waiting_sandbox_that_is_dead) {
  for (int i = 0; i < 20; ++i) {
    for (const pid_t init : inits_of(launcher_.home())) EXPECT_EQ(::kill(init, SIGKILL), 0);
    const RunResult result = launcher_.run(shell_spec("exit 7"));
    EXPECT_EQ(result.ended.outcome.exit_code, 7) << described(result.ended.outcome);
    settle();
  }
}

}  // namespace
}  // namespace tare::testing
