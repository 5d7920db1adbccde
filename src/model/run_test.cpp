#include "model/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace tare::model {
namespace {

using testing::HasSubstr;

constexpr RunState kAllStates[] = {RunState::queued,     RunState::starting,  RunState::running,
                                   RunState::hibernated, RunState::succeeded, RunState::failed,
                                   RunState::cancelled};
constexpr RunEventType kAllEvents[] = {
    RunEventType::created,           RunEventType::launching,  RunEventType::started,
    RunEventType::kill_requested,    RunEventType::reattached, RunEventType::denied,
    RunEventType::hibernated,        RunEventType::slept,      RunEventType::checkpointed,
    RunEventType::checkpoint_failed, RunEventType::ended};
constexpr EndReason kAllReasons[] = {
    EndReason::exited,        EndReason::signalled,      EndReason::timeout,
    EndReason::killed,        EndReason::memory_limit,   EndReason::output_limit,
    EndReason::not_found,     EndReason::not_executable, EndReason::setup_failed,
    EndReason::launcher_lost, EndReason::daemon_error};

Run a_run(RunState state) {
  Run run;
  run.tenant = "default";
  run.id = "run_x";
  run.state = state;
  run.created_ms = 10;
  if (state != RunState::queued) run.attempt = 1;
  run.request.session = true;
  if (is_terminal(state)) run.outcome = Outcome{};
  return run;
}

RunEvent an_event(RunEventType type) {
  RunEvent event{.sequence = 1, .at_ms = 99, .type = type};
  if (type == RunEventType::ended)
    event.outcome = Outcome{.reason = EndReason::killed, .signal = 9};
  return event;
}

TEST(Run, every_state_and_event_leads_where_the_table_says) {
  using S = RunState;
  using E = RunEventType;
  // Pairs that are not here must be refused.
  const std::map<std::pair<S, E>, S> table = {
      {{S::queued, E::launching}, S::starting},
      {{S::queued, E::kill_requested}, S::queued},
      {{S::queued, E::ended}, S::cancelled},
      {{S::starting, E::started}, S::running},
      {{S::starting, E::kill_requested}, S::starting},
      {{S::starting, E::reattached}, S::starting},
      {{S::starting, E::denied}, S::starting},
      {{S::starting, E::ended}, S::cancelled},
      {{S::running, E::kill_requested}, S::running},
      {{S::running, E::reattached}, S::running},
      {{S::running, E::denied}, S::running},
      {{S::running, E::ended}, S::cancelled},
      {{S::starting, E::hibernated}, S::hibernated},
      {{S::running, E::hibernated}, S::hibernated},
      {{S::running, E::checkpointed}, S::running},
      {{S::running, E::checkpoint_failed}, S::running},
      {{S::hibernated, E::launching}, S::starting},
      {{S::hibernated, E::slept}, S::hibernated},
      {{S::hibernated, E::denied}, S::hibernated},
      {{S::hibernated, E::ended}, S::cancelled},
      {{S::hibernated, E::reattached}, S::hibernated},
      {{S::hibernated, E::kill_requested}, S::hibernated},
  };
  for (const RunState state : kAllStates) {
    for (const RunEventType type : kAllEvents) {
      const auto after = advance(a_run(state), an_event(type));
      const auto row = table.find({state, type});
      if (row == table.end()) {
        ASSERT_FALSE(after.ok()) << to_string(state) << " " << to_string(type);
        EXPECT_EQ(after.error().code, Errc::conflict);
        EXPECT_THAT(after.error().message, HasSubstr(std::string(to_string(state))));
        EXPECT_THAT(after.error().message, HasSubstr(std::string(to_string(type))));
      } else {
        ASSERT_TRUE(after.ok()) << after.error().message;
        EXPECT_EQ(after->state, row->second);
      }
    }
  }
}

TEST(Run, the_end_reason_decides_the_terminal_state) {
  for (const EndReason reason : kAllReasons) {
    for (const int exit_code : {0, 3}) {
      RunEvent event = an_event(RunEventType::ended);
      event.outcome = Outcome{.reason = reason, .exit_code = exit_code};
      const RunState expected = reason == EndReason::killed ? RunState::cancelled
                                : reason == EndReason::exited && exit_code == 0
                                    ? RunState::succeeded
                                    : RunState::failed;
      EXPECT_EQ(advance(a_run(RunState::running), event).value().state, expected)
          << to_string(reason);
      EXPECT_EQ(advance(a_run(RunState::starting), event).value().state, expected)
          << to_string(reason);
    }
  }
}

TEST(Run, what_was_never_launched_ends_only_for_reasons_that_need_no_program) {
  for (const EndReason reason : kAllReasons) {
    RunEvent event = an_event(RunEventType::ended);
    event.outcome = Outcome{.reason = reason};
    const bool possible = reason == EndReason::killed || reason == EndReason::setup_failed ||
                          reason == EndReason::launcher_lost || reason == EndReason::daemon_error;
    EXPECT_EQ(advance(a_run(RunState::queued), event).ok(), possible) << to_string(reason);
  }
}

TEST(Run, only_a_session_hibernates) {
  auto run = a_run(RunState::running);
  run.request.session = false;
  EXPECT_EQ(advance(run, an_event(RunEventType::hibernated)).error().code, Errc::conflict);
}

TEST(Run, a_checkpoint_is_what_it_would_wake_with_and_not_what_it_stands_on) {
  auto run = a_run(RunState::running);
  run.own.root = {"stands"};
  EXPECT_EQ(wakes_with(run).root, run.own.root);
  RunEvent kept = an_event(RunEventType::checkpointed);
  kept.own.root = {"stands", "changed"};
  run = advance(run, kept).value();
  EXPECT_EQ(run.own.root, std::vector<std::string>{"stands"});
  EXPECT_EQ(wakes_with(run), kept.own);
  EXPECT_EQ(run.checkpoint.at_ms, kept.at_ms);
  RunEvent failed = an_event(RunEventType::checkpoint_failed);
  failed.message = "a secret";
  run = advance(run, failed).value();
  EXPECT_EQ(wakes_with(run), kept.own);
  EXPECT_EQ(run.checkpoint.fault, "a secret");
  EXPECT_EQ(advance(run, kept)->checkpoint.fault, "");
  RunEvent asleep = an_event(RunEventType::hibernated);
  asleep.own.root = {"night"};
  run = advance(run, asleep).value();
  EXPECT_EQ(wakes_with(run), asleep.own);
  const Checkpoint none{.at_ms = kept.at_ms, .own = {}, .fault = {}, .replaced = kept.own.root};
  EXPECT_EQ(run.checkpoint, none);
}

TEST(Run, only_a_session_is_checkpointed) {
  auto run = a_run(RunState::running);
  run.request.session = false;
  EXPECT_EQ(advance(run, an_event(RunEventType::checkpointed)).error().code, Errc::conflict);
}

TEST(Run, a_fork_has_files_before_it_has_a_sandbox_and_hibernates_when_it_gets_none) {
  model::Run run = a_run(RunState::queued);
  run.request.session = true;
  EXPECT_FALSE(advance(run, an_event(RunEventType::hibernated)));
  run.request.forked_from = "run_other";
  EXPECT_EQ(advance(run, an_event(RunEventType::hibernated)).value().state, RunState::hibernated);
}

TEST(Run, one_that_hibernates_is_ended_by_somebody_or_by_its_age_alone) {
  for (const EndReason reason : kAllReasons) {
    RunEvent event = an_event(RunEventType::ended);
    event.outcome = Outcome{.reason = reason};
    const bool possible = reason == EndReason::killed || reason == EndReason::timeout ||
                          reason == EndReason::setup_failed || reason == EndReason::launcher_lost ||
                          reason == EndReason::daemon_error;
    EXPECT_EQ(advance(a_run(RunState::hibernated), event).ok(), possible) << to_string(reason);
  }
}

TEST(Run, a_night_keeps_what_was_changed_and_adds_up_what_was_used) {
  auto run = a_run(RunState::running);
  run.started_ms = 30;
  RunEvent event = an_event(RunEventType::hibernated);
  event.own = {.root = {"a", "b"}, .scratch = {"c"}};
  run = advance(run, event).value();
  EXPECT_EQ(run.own, event.own);
  RunEvent slept = an_event(RunEventType::slept);
  slept.usage = {.cpu_us = 5, .memory_peak_bytes = 70, .wall_us = 1};
  run = advance(run, slept).value();
  run = advance(run, an_event(RunEventType::launching)).value();
  EXPECT_EQ(run.attempt, 2U);
  run = advance(run, an_event(RunEventType::started)).value();
  EXPECT_EQ(run.started_ms, 30U);
  RunEvent end = an_event(RunEventType::ended);
  end.usage = {.cpu_us = 4, .memory_peak_bytes = 60, .wall_us = 2};
  run = advance(run, end).value();
  EXPECT_EQ(run.usage, (Usage{.cpu_us = 9, .memory_peak_bytes = 70, .wall_us = 3}));
  EXPECT_EQ(run.own, event.own);
}

TEST(Run, an_end_without_an_outcome_is_refused) {
  RunEvent event = an_event(RunEventType::ended);
  event.outcome.reset();
  EXPECT_EQ(advance(a_run(RunState::running), event).error().code, Errc::invalid);
}

TEST(Run, the_events_of_a_life_fill_the_record) {
  model::Run run;
  run.id = "run_x";
  run = advance(run, {.sequence = 1, .at_ms = 10, .type = RunEventType::created}).value();
  EXPECT_EQ(run.created_ms, 10U);
  EXPECT_FALSE(advance(run, {.at_ms = 11, .type = RunEventType::created}).ok());
  run = advance(run, {.sequence = 2, .at_ms = 20, .type = RunEventType::launching}).value();
  EXPECT_EQ(run.attempt, 1U);
  run = advance(run, {.sequence = 3, .at_ms = 30, .type = RunEventType::started}).value();
  EXPECT_EQ(run.started_ms, 30U);
  const Outcome outcome{.reason = EndReason::exited, .exit_code = 4, .message = "exit status 4"};
  const RunEvent end{.sequence = 4,
                     .at_ms = 40,
                     .type = RunEventType::ended,
                     .outcome = outcome,
                     .usage = {.cpu_us = 5},
                     .log_cut = true};
  run = advance(run, end).value();
  EXPECT_EQ(run.state, RunState::failed);
  EXPECT_EQ(run.ended_ms, 40U);
  EXPECT_EQ(run.outcome, outcome);
  EXPECT_EQ(run.usage.cpu_us, 5U);
  EXPECT_TRUE(run.log_cut);
}

TEST(Run, the_shell_sees_the_usual_exit_statuses) {
  EXPECT_EQ(exit_status_of({.reason = EndReason::exited, .exit_code = 0}), 0);
  EXPECT_EQ(exit_status_of({.reason = EndReason::exited, .exit_code = 255}), 255);
  EXPECT_EQ(exit_status_of({.reason = EndReason::signalled, .signal = 11}), 139);
  EXPECT_EQ(exit_status_of({.reason = EndReason::timeout, .signal = 9}), 124);
  EXPECT_EQ(exit_status_of({.reason = EndReason::killed, .signal = 9}), 137);
  EXPECT_EQ(exit_status_of({.reason = EndReason::memory_limit, .signal = 9}), 137);
  EXPECT_EQ(exit_status_of({.reason = EndReason::output_limit, .signal = 9}), 137);
  EXPECT_EQ(exit_status_of({.reason = EndReason::not_found}), 127);
  EXPECT_EQ(exit_status_of({.reason = EndReason::not_executable}), 126);
  EXPECT_EQ(exit_status_of({.reason = EndReason::setup_failed}), 125);
  EXPECT_EQ(exit_status_of({.reason = EndReason::launcher_lost}), 125);
  EXPECT_EQ(exit_status_of({.reason = EndReason::daemon_error}), 125);
}

TEST(Run, every_enumerator_turns_into_text_and_back) {
  for (const RunState state : kAllStates)
    EXPECT_EQ(run_state_from(to_string(state)).value(), state);
  for (const EndReason reason : kAllReasons)
    EXPECT_EQ(end_reason_from(to_string(reason)).value(), reason);
  for (const RunEventType type : kAllEvents)
    EXPECT_EQ(run_event_type_from(to_string(type)).value(), type);
  EXPECT_EQ(
      run_state_from("done").error().message,
      "\"done\" is not a run state; allowed: queued, starting, running, hibernated, succeeded, "
      "failed, cancelled");
  EXPECT_FALSE(end_reason_from("").ok());
  EXPECT_FALSE(run_event_type_from("Created").ok());
}

}  // namespace
}  // namespace tare::model
