#include "model/run.h"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/core.h>

#include "base/text.h"

namespace tare::model {

namespace {

template <class E>
struct Named {
  E value;
  std::string_view name;
};

constexpr std::array kStates = {
    Named{RunState::queued, "queued"},       Named{RunState::starting, "starting"},
    Named{RunState::running, "running"},     Named{RunState::hibernated, "hibernated"},
    Named{RunState::succeeded, "succeeded"}, Named{RunState::failed, "failed"},
    Named{RunState::cancelled, "cancelled"},
};

// What the shell sees for each reason; `kFromOutcome` where the outcome's own numbers decide.
constexpr int kFromOutcome = -1;
struct ReasonRow {
  EndReason value;
  std::string_view name;
  int exit_status;
  bool needs_program;  // cannot be before the program was launched
};
constexpr std::array kReasons = {
    ReasonRow{EndReason::exited, "exited", kFromOutcome, true},
    ReasonRow{EndReason::signalled, "signalled", kFromOutcome, true},
    ReasonRow{EndReason::timeout, "timeout", 124, true},
    ReasonRow{EndReason::killed, "killed", 137, false},
    ReasonRow{EndReason::memory_limit, "memory_limit", 137, true},
    ReasonRow{EndReason::output_limit, "output_limit", 137, true},
    ReasonRow{EndReason::not_found, "not_found", 127, true},
    ReasonRow{EndReason::not_executable, "not_executable", 126, true},
    ReasonRow{EndReason::setup_failed, "setup_failed", 125, false},
    ReasonRow{EndReason::launcher_lost, "launcher_lost", 125, false},
    ReasonRow{EndReason::daemon_error, "daemon_error", 125, false},
};

constexpr std::array kOnIdle = {
    Named{OnIdle::hibernate, "hibernate"},
    Named{OnIdle::kill, "kill"},
};

constexpr std::array kEvents = {
    Named{RunEventType::created, "created"},
    Named{RunEventType::launching, "launching"},
    Named{RunEventType::started, "started"},
    Named{RunEventType::kill_requested, "kill_requested"},
    Named{RunEventType::reattached, "reattached"},
    Named{RunEventType::denied, "denied"},
    Named{RunEventType::hibernated, "hibernated"},
    Named{RunEventType::slept, "slept"},
    Named{RunEventType::checkpointed, "checkpointed"},
    Named{RunEventType::checkpoint_failed, "checkpoint_failed"},
    Named{RunEventType::ended, "ended"},
};

template <class Table, class E>
const auto& row_of(const Table& table, E value) {
  const auto index = static_cast<std::size_t>(value);
  CHECK(index < table.size() &&
        table[index].value == value);  // tables are in the order of their enum
  return table[index];
}

template <class E, class Table>
Result<E> value_of(const Table& table, std::string_view name, std::string_view what) {
  std::vector<std::string_view> names;
  for (const auto& row : table) {
    if (row.name == name) return row.value;
    names.push_back(row.name);
  }
  return Error{Errc::invalid,
               fmt::format("{} is not a {}; allowed: {}", quote(name), what, joined(names))};
}

Error impossible(const Run& run, const RunEvent& event) {
  return Error{Errc::conflict, fmt::format("run {} is {}: it cannot take the event {}", run.id,
                                           to_string(run.state), to_string(event.type))};
}

RunState state_after(const Outcome& outcome) {
  if (outcome.reason == EndReason::killed) return RunState::cancelled;
  const bool good = outcome.reason == EndReason::exited && outcome.exit_code == 0;
  return good ? RunState::succeeded : RunState::failed;
}

Result<Run> end(Run run, const RunEvent& event) {
  if (!event.outcome) {
    return Error{Errc::invalid, fmt::format("run {}: the event ended has no outcome", run.id)};
  }
  // What was never launched cannot have met a limit or exited.
  // One that hibernates can only be ended by somebody, or by its age.
  const EndReason reason = event.outcome->reason;
  const bool none = run.state == RunState::queued || run.state == RunState::hibernated;
  const bool by_age = run.state == RunState::hibernated && reason == EndReason::timeout;
  if (none && row_of(kReasons, reason).needs_program && !by_age) {
    return impossible(run, event).context(to_string(reason));
  }
  run.state = state_after(*event.outcome);
  run.ended_ms = event.at_ms;
  run.outcome = event.outcome;
  run.usage = sum_of(run.usage, event.usage);
  run.log_cut = event.log_cut;
  return run;
}

Result<Run> hibernate(Run run, const RunEvent& event) {
  const bool has_sandbox = run.state == RunState::running || run.state == RunState::starting;
  // A fork has files before it has a sandbox.
  const bool may_sleep = has_sandbox ||
                         (run.state == RunState::queued && !run.request.forked_from.empty());
  if (!may_sleep || !run.request.session) return impossible(run, event);
  run.state = RunState::hibernated;
  run.own = event.own;
  if (run.checkpoint.own) add_replaced(run.checkpoint.replaced, *run.checkpoint.own, event.own);
  run.checkpoint.own.reset();
  run.checkpoint.fault.clear();
  return run;
}

Result<Run> checkpoint(Run run, const RunEvent& event) {
  if (run.state != RunState::running || !run.request.session) return impossible(run, event);
  if (event.type == RunEventType::checkpoint_failed) {
    run.checkpoint.fault = event.message;
    return run;
  }
  run.checkpoint = {
      .at_ms = event.at_ms, .own = event.own, .fault = {}, .replaced = event.replaced};
  return run;
}

}  // namespace

void add_replaced(std::vector<std::string>& replaced, const OwnLayers& before,
                  const OwnLayers& now) {
  for (const auto list : {&OwnLayers::root, &OwnLayers::scratch}) {
    for (const std::string& digest : before.*list) {
      if (std::ranges::find(now.*list, digest) == (now.*list).end()) replaced.push_back(digest);
    }
  }
  if (replaced.size() > kMaxReplacedLayers)
    replaced.erase(replaced.begin(), replaced.end() - kMaxReplacedLayers);
}

std::string_view to_string(RunState state) { return row_of(kStates, state).name; }
std::string_view to_string(EndReason reason) { return row_of(kReasons, reason).name; }
std::string_view to_string(OnIdle on_idle) { return row_of(kOnIdle, on_idle).name; }
std::string_view to_string(RunEventType type) { return row_of(kEvents, type).name; }

Result<RunState> run_state_from(std::string_view text) {
  return value_of<RunState>(kStates, text, "run state");
}
Result<EndReason> end_reason_from(std::string_view text) {
  return value_of<EndReason>(kReasons, text, "reason for an end");
}
Result<OnIdle> on_idle_from(std::string_view text) {
  return value_of<OnIdle>(kOnIdle, text, "thing to do when idle");
}
Result<RunEventType> run_event_type_from(std::string_view text) {
  return value_of<RunEventType>(kEvents, text, "run event");
}

bool is_terminal(RunState state) {
  return state == RunState::succeeded || state == RunState::failed || state == RunState::cancelled;
}

int exit_status_of(const Outcome& outcome) {
  const int status = row_of(kReasons, outcome.reason).exit_status;
  if (status != kFromOutcome) return status;
  return outcome.reason == EndReason::exited ? outcome.exit_code : 128 + outcome.signal;
}

Result<Run> advance(Run run, const RunEvent& event) {
  if (is_terminal(run.state)) return impossible(run, event);
  const bool launched = run.state != RunState::queued;
  switch (event.type) {
    case RunEventType::created:
      if (launched || run.created_ms != 0) return impossible(run, event);
      run.created_ms = event.at_ms;
      return run;
    case RunEventType::launching:
      if (launched && run.state != RunState::hibernated) return impossible(run, event);
      run.state = RunState::starting;
      ++run.attempt;
      return run;
    case RunEventType::started:
      if (run.state != RunState::starting) return impossible(run, event);
      run.state = RunState::running;
      if (run.started_ms == 0) run.started_ms = event.at_ms;
      return run;
    case RunEventType::kill_requested: return run;
    case RunEventType::reattached:
    case RunEventType::denied:
      if (!launched) return impossible(run, event);
      return run;
    case RunEventType::hibernated: return hibernate(std::move(run), event);
    case RunEventType::slept:
      if (run.state != RunState::hibernated) return impossible(run, event);
      run.usage = sum_of(run.usage, event.usage);
      return run;
    case RunEventType::checkpointed:
    case RunEventType::checkpoint_failed: return checkpoint(std::move(run), event);
    case RunEventType::ended: return end(std::move(run), event);
  }
  return impossible(run, event);
}

}  // namespace tare::model
