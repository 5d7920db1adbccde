// Which ends of a sandbox a session outlives. The rest of a driver's work runs for real in
// tests/e2e.
#include "host/run_driver.h"

#include <gtest/gtest.h>

#include <array>

namespace tare::host {
namespace {

using model::EndReason;

bool outlives(EndReason reason, bool started, const model::Run& run, bool kill_wanted = false) {
  LiveRun live;
  live.run = run;
  live.kill_wanted = kill_wanted;
  if (started) live.started = sandbox::StartedMessage{run.id, 0};
  model::RunEvent end;
  end.outcome = model::Outcome{reason, 0, 0, ""};
  return sleeps_on(live, end);
}

model::Run session(std::uint32_t attempt) {
  model::Run run;
  run.request.session = true;
  run.attempt = attempt;
  run.state = model::RunState::starting;
  return run;
}

TEST(SleepsOn, one_that_has_slept_outlives_all_that_is_not_its_own_doing) {
  struct Row {
    EndReason reason;
    bool before, awake;
  };
  constexpr std::array kRows = {
      Row{EndReason::setup_failed, true, true},  Row{EndReason::launcher_lost, true, true},
      Row{EndReason::daemon_error, true, true},  Row{EndReason::killed, true, true},
      Row{EndReason::memory_limit, true, false}, Row{EndReason::timeout, true, false},
      Row{EndReason::output_limit, true, false},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(outlives(row.reason, false, session(2)), row.before) << to_string(row.reason);
    EXPECT_EQ(outlives(row.reason, true, session(2)), row.awake) << to_string(row.reason);
    EXPECT_FALSE(outlives(row.reason, false, session(2), true)) << "somebody ends it";
    EXPECT_FALSE(outlives(row.reason, false, session(1))) << "it never slept";
  }
}

TEST(SleepsOn, a_fork_has_slept_and_a_run_has_not) {
  model::Run fork = session(0);
  fork.state = model::RunState::queued;
  EXPECT_FALSE(outlives(EndReason::setup_failed, false, fork));
  fork.request.forked_from = "run_other";
  EXPECT_TRUE(outlives(EndReason::setup_failed, false, fork));
  model::Run run = session(2);
  run.request.session = false;
  EXPECT_FALSE(outlives(EndReason::setup_failed, false, run));
}

TEST(SleepsOn, one_that_was_checkpointed_does_and_a_durable_one_that_has_run) {
  model::Run run = session(1);
  run.checkpoint.own.emplace();
  EXPECT_TRUE(outlives(EndReason::launcher_lost, true, run));
  EXPECT_FALSE(outlives(EndReason::memory_limit, true, run));
  run = session(1);
  run.request.durable = true;
  EXPECT_FALSE(outlives(EndReason::setup_failed, false, run)) << "it cannot be made";
  EXPECT_TRUE(outlives(EndReason::launcher_lost, false, run)) << "its start may not be on record";
  run.started_ms = 1;
  EXPECT_TRUE(outlives(EndReason::launcher_lost, true, run));
}

}  // namespace
}  // namespace tare::host
