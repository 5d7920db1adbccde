#include "runs/rows.h"

#include <fmt/core.h>

#include "base/base64.h"
#include "base/ids.h"
#include "base/text.h"
#include "model/run_json.h"
#include "runs/store.h"

namespace tare::runs {

namespace {

constexpr JsonLimits kStoredJson{.max_bytes = kMaxStoredJsonBytes, .max_depth = kMaxJsonDepth};

Result<model::Agent> read_agent(const Node& node) { return model::agent_from_json(node.value()); }

// Reads the JSON in a column with a reader of model/*_json.h.
template <class Reader>
auto read_json(std::string_view text, const Reader& reader)
    -> std::invoke_result_t<Reader, const Node&> {
  const Json json = TRY(parse_json(text, kStoredJson));
  return reader(Node(json, Unknown::ignore));
}

template <class Value, class Reader>
Result<std::string> stored(const Value& value, const Reader& reader, std::string_view what) {
  std::string text = to_text(model::to_json(value));
  const auto back = read_json(text, reader);
  if (!back) return Error(back.error()).context(what);
  if (*back == value) return text;
  return Error{Errc::invalid, fmt::format("{}: holds text that is not UTF-8", what)};
}

// A row's fault, whatever it was, is ours or the disk's, not the caller's.
template <class T>
Result<T> named(Result<T> result, std::string_view row) {
  if (result) return result;
  Error error = std::move(result).error();
  error.code = Errc::internal;
  return std::move(error).context(row);
}

std::string printable(const sql::Row& row, int column) {
  const auto text = row.text(column);
  return text ? quote(*text) : std::string("?");
}

Error contradiction(std::string_view what) {
  return Error{Errc::internal, fmt::format("its columns contradict each other: {}", what)};
}

Result<RunRow> read_run(const sql::Row& row) {
  RunRow found;
  model::Run& run = found.run;
  run.tenant = TRY(row.string(0));
  run.id = TRY(row.string(1));
  run.state = TRY(model::run_state_from(TRY(row.text(3))));
  run.created_ms = TRY(row.unsigned_integer(4));
  run.started_ms = TRY(row.unsigned_integer(5));
  run.ended_ms = TRY(row.unsigned_integer(6));
  run.attempt = TRY(row.unsigned_32(7));
  run.request = TRY(read_json(TRY(row.text(8)), model::read_run_request).context("request"));
  if (!row.is_null(9)) {
    run.outcome = TRY(read_json(TRY(row.text(9)), model::read_outcome).context("outcome"));
  }
  run.usage = TRY(read_json(TRY(row.text(10)), model::read_usage).context("usage"));
  run.log_cut = TRY(row.boolean(11));
  found.last_sequence = TRY(row.unsigned_integer(12));
  run.own = TRY(read_json(TRY(row.text(13)), model::read_own_layers).context("own_layers"));
  run.checkpoint = TRY(read_json(TRY(row.text(14)), model::read_checkpoint).context("checkpoint"));
  if (!is_run_id(run.id)) return contradiction("id is not a run id");
  if (run.request.agent != TRY(row.text(2))) return contradiction("agent and request");
  if (model::is_terminal(run.state) != run.outcome.has_value()) {
    return contradiction("state and outcome");
  }
  return found;
}

Result<model::RunEvent> read_event(const sql::Row& row) {
  auto event = TRY(read_json(TRY(row.text(2)), model::read_run_event));
  if (event.sequence != TRY(row.unsigned_integer(0))) return contradiction("sequence and event");
  if (model::to_string(event.type) != TRY(row.text(1))) return contradiction("type and event");
  return event;
}

Result<model::Agent> read_agent_columns(const sql::Row& row) {
  auto agent = TRY(read_json(TRY(row.text(3)), read_agent));
  if (agent.tenant != TRY(row.text(0))) return contradiction("tenant and agent");
  if (agent.name != TRY(row.text(1))) return contradiction("name and agent");
  if (agent.version != TRY(row.unsigned_32(2))) return contradiction("version and agent");
  return agent;
}

Result<model::Environment> read_environment_columns(const sql::Row& row) {
  auto environment = TRY(read_json(TRY(row.text(2)), model::read_environment));
  if (environment.tenant != TRY(row.text(0))) return contradiction("tenant and environment");
  if (environment.name != TRY(row.text(1))) return contradiction("name and environment");
  if (row.is_null(3)) return environment;
  return model::with_flat(
      std::move(environment),
      TRY(read_json(TRY(row.text(3)), model::read_flat_layers).context("flat_layers")));
}

Result<std::pair<std::string, model::FlatLayers>> read_flat_columns(const sql::Row& row) {
  return std::pair(TRY(row.string(0)), TRY(read_json(TRY(row.text(1)), model::read_flat_layers)));
}

Result<model::Runner> read_runner_node(const Node& node) {
  return model::runner_from_json(node.value());
}
Result<model::Rollout> read_rollout_node(const Node& node) {
  return model::rollout_from_json(node.value());
}

Result<model::Runner> read_runner_columns(const sql::Row& row) {
  auto runner = TRY(read_json(TRY(row.text(4)), read_runner_node));
  if (runner.tenant != TRY(row.text(0))) return contradiction("tenant and runner");
  if (runner.manifest.name != TRY(row.text(1))) return contradiction("name and runner");
  if (runner.manifest.version != TRY(row.text(2))) return contradiction("version and runner");
  if (runner.digest != TRY(row.text(3))) return contradiction("digest and runner");
  return runner;
}

Result<model::Rollout> read_rollout_columns(const sql::Row& row) {
  auto rollout = TRY(read_json(TRY(row.text(1)), read_rollout_node));
  if (rollout.sequence != TRY(row.unsigned_integer(0)))
    return contradiction("sequence and rollout");
  return rollout;
}

Result<> check_secret(const model::SealedSecret& secret) {
  TRY(check_name("tenant", secret.tenant));
  TRY(check_name("name", secret.name));
  if (secret.version == 0) return contradiction("version is 0");
  if (secret.rotated_ms < secret.created_ms) return contradiction("rotated_ms and created_ms");
  if (secret.sealed.empty() || secret.sealed.size() > model::kMaxSealedBytes)
    return contradiction("sealed is empty or too long");
  return ok();
}

Result<model::SealedSecret> read_secret_columns(const sql::Row& row) {
  model::SealedSecret secret;
  secret.tenant = TRY(row.string(0));
  secret.name = TRY(row.string(1));
  secret.version = TRY(row.unsigned_integer(2));
  secret.created_ms = TRY(row.unsigned_integer(3));
  secret.rotated_ms = TRY(row.unsigned_integer(4));
  const std::string_view sealed = TRY(row.text(5));
  if (sealed.size() > (model::kMaxSealedBytes + 2) / 3 * 4)
    return contradiction("sealed is too long");
  secret.sealed = TRY(base64_decode(sealed).context("sealed"));
  TRY(check_secret(secret));
  return secret;
}

}  // namespace

Result<RunRow> read_run_row(const sql::Row& row) {
  return named(read_run(row),
               fmt::format("table runs, row {} {}", printable(row, 0), printable(row, 1)));
}

Result<model::RunEvent> read_event_row(const sql::Row& row) {
  const auto sequence = row.integer(0);
  return named(read_event(row), fmt::format("event {}", sequence ? *sequence : -1));
}

Result<model::Agent> read_agent_row(const sql::Row& row) {
  return named(read_agent_columns(row),
               fmt::format("table agents, row {} {}", printable(row, 0), printable(row, 1)));
}

Result<model::Environment> read_environment_row(const sql::Row& row) {
  return named(read_environment_columns(row),
               fmt::format("table environments, row {} {}", printable(row, 0), printable(row, 1)));
}

Result<std::pair<std::string, model::FlatLayers>> read_flat_row(const sql::Row& row) {
  return named(read_flat_columns(row), fmt::format("table flat_layers, row {}", printable(row, 0)));
}

Result<model::Runner> read_runner_row(const sql::Row& row) {
  return named(read_runner_columns(row),
               fmt::format("table runners, row {} {} {}", printable(row, 0), printable(row, 1),
                           printable(row, 2)));
}

Result<model::Rollout> read_rollout_row(const sql::Row& row) {
  const auto sequence = row.integer(0);
  return named(read_rollout_columns(row), fmt::format("rollout {}", sequence ? *sequence : -1));
}

Result<model::SealedSecret> read_secret_row(const sql::Row& row) {
  return named(read_secret_columns(row),
               fmt::format("table secrets, row {} {}", printable(row, 0), printable(row, 1)));
}

Result<std::string> to_stored(const model::SealedSecret& secret) {
  TRY(check_secret(secret));
  return base64_encode(secret.sealed);
}
Result<std::string> to_stored(const model::RunRequest& request) {
  return stored(request, model::read_run_request, "request");
}
Result<std::string> to_stored(const model::Outcome& outcome) {
  return stored(outcome, model::read_outcome, "outcome");
}
Result<std::string> to_stored(const model::Usage& usage) {
  return stored(usage, model::read_usage, "usage");
}
Result<std::string> to_stored(const model::OwnLayers& own) {
  return stored(own, model::read_own_layers, "own_layers");
}
Result<std::string> to_stored(const model::Checkpoint& checkpoint) {
  return stored(checkpoint, model::read_checkpoint, "checkpoint");
}
Result<std::string> to_stored(const model::RunEvent& event) {
  return stored(event, model::read_run_event, "event");
}
Result<std::string> to_stored(const model::Agent& agent) {
  return stored(agent, read_agent, "agent");
}
Result<std::string> to_stored(const model::Environment& environment) {
  return stored(environment, model::read_environment, "environment");
}
Result<std::string> to_stored(const model::FlatLayers& flat) {
  return stored(flat, model::read_flat_layers, "flat_layers");
}
Result<std::string> to_stored(const model::Runner& runner) {
  return stored(runner, read_runner_node, "runner");
}
Result<std::string> to_stored(const model::Rollout& rollout) {
  return stored(rollout, read_rollout_node, "rollout");
}

std::string one_line(std::string_view message) {
  const bool utf8 = is_utf8(message);
  std::string line(message);
  for (char& c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
    if (byte >= 0x80 && !utf8) c = '?';
  }
  if (line.size() <= kMaxMessageBytes) return line;
  std::size_t end = kMaxMessageBytes;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
  line.resize(end);
  return line;
}

}  // namespace tare::runs
