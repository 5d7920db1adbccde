// Rows and values: what the columns of runs, run_events, agents and environments hold, for every
// backend.
//
// Pure but for the Row read. Rows are hostile input: each value is decoded strictly, and a row that
// contradicts itself is an error with its key in front. Unknown JSON keys are passed over: a newer
// version may have written them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "model/agent.h"
#include "model/environment.h"
#include "model/rollout.h"
#include "model/run.h"
#include "model/runner.h"
#include "model/secret.h"
#include "sql/database.h"

namespace tare::runs {

// The columns that read_run_row expects, in its order.
inline constexpr std::string_view kRunColumns =
    "tenant, id, agent, state, created_ms, started_ms, ended_ms, attempt, request, outcome, "
    "usage, log_cut, last_sequence, own_layers, checkpoint";

struct RunRow {
  model::Run run;
  std::uint64_t last_sequence = 0;
};
Result<RunRow> read_run_row(const sql::Row& row);
Result<model::RunEvent> read_event_row(const sql::Row& row);  // sequence, type, event
Result<model::Agent> read_agent_row(const sql::Row& row);     // tenant, name, version, agent
// tenant, name, environment, its flat layers (NULL: none)
Result<model::Environment> read_environment_row(const sql::Row& row);
// digest, layers
Result<std::pair<std::string, model::FlatLayers>> read_flat_row(const sql::Row& row);
Result<model::Runner> read_runner_row(
    const sql::Row& row);  // tenant, name, version, digest, runner
Result<model::Rollout> read_rollout_row(const sql::Row& row);  // sequence, rollout
// tenant, name, version, created_ms, rotated_ms, sealed
Result<model::SealedSecret> read_secret_row(const sql::Row& row);

// The text for a row. Refused when it could not be read back as the same value.
Result<std::string> to_stored(const model::RunRequest& request);
Result<std::string> to_stored(const model::Outcome& outcome);
Result<std::string> to_stored(const model::Usage& usage);
Result<std::string> to_stored(const model::OwnLayers& own);
Result<std::string> to_stored(const model::Checkpoint& checkpoint);
Result<std::string> to_stored(const model::RunEvent& event);
Result<std::string> to_stored(const model::Agent& agent);
Result<std::string> to_stored(const model::Environment& environment);
Result<std::string> to_stored(const model::FlatLayers& flat);
Result<std::string> to_stored(const model::Runner& runner);
Result<std::string> to_stored(const model::Rollout& rollout);

// The text of the column `sealed`; the whole is checked as a row would be.
Result<std::string> to_stored(const model::SealedSecret& secret);

// One line that a row can hold: control characters and what is not UTF-8 replaced, cut to
// kMaxMessageBytes.
std::string one_line(std::string_view message);

}  // namespace tare::runs
