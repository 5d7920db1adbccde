#include "model/run_json.h"

#include "base/ids.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "model/environment.h"
#include "model/profile.h"
#include "model/runner.h"

namespace tare::model {

namespace {

constexpr std::size_t kMaxUserBytes = 16;

auto count() { return integer<std::uint64_t>(0, kMaxCount); }

// The time as text, where there is one.
void add_time(JsonObject& object, std::string_view key, std::uint64_t wall_ms) {
  if (wall_ms != 0) object[key] = format_utc(wall_ms);
}

Result<std::string> read_run_id(const Node& node) {
  std::string id = TRY(read_text(node, kRunIdBytes, 0));
  if (!is_run_id(id)) return node.expected("a run id");
  return id;
}

Result<std::string> read_user(const Node& node) {
  std::string user = TRY(read_text(node, kMaxUserBytes, 1));
  if (!ids_of_user(user)) return node.expected("agent, root or UID:GID");
  return user;
}

}  // namespace

Json to_json(const InputFile& input) {
  return JsonObject{{"name", input.name}, {"digest", input.digest}, {"size", input.size}};
}

Result<InputFile> read_input_file(const Node& node) {
  InputFile input;
  Fields fields(node);
  fields.required("name", input.name, text(kMaxPathBytes, 1));
  fields.required("digest", input.digest, read_digest);
  fields.optional("size", input.size, integer<std::uint64_t>(0, kMaxUploadBytes));
  TRY(fields.finish());
  return input;
}

Json to_json(const OwnLayers& own) {
  return JsonObject{{"root", text_list(own.root)}, {"scratch", text_list(own.scratch)}};
}

Result<OwnLayers> read_own_layers(const Node& node) {
  OwnLayers own;
  Fields fields(node);
  fields.required("root", own.root, list_of(read_digest, kMaxLayers));
  fields.required("scratch", own.scratch, list_of(read_digest, kMaxLayers));
  TRY(fields.finish());
  return own;
}

namespace {

Result<std::vector<std::string>> read_replaced(const Node& node) {
  return list_of(read_digest, kMaxReplacedLayers)(node);
}

}  // namespace

Json to_json(const Checkpoint& checkpoint) {
  JsonObject object{{"at_ms", checkpoint.at_ms}};
  add_time(object, "at", checkpoint.at_ms);
  if (checkpoint.own) object["own_layers"] = to_json(*checkpoint.own);
  if (!checkpoint.fault.empty()) object["fault"] = checkpoint.fault;
  if (!checkpoint.replaced.empty()) object["replaced"] = text_list(checkpoint.replaced);
  return object;
}

Result<Checkpoint> read_checkpoint(const Node& node) {
  Checkpoint checkpoint;
  std::string for_people;
  Fields fields(node);
  fields.required("at_ms", checkpoint.at_ms, count());
  fields.optional("at", for_people, text(kMaxNameBytes));
  fields.optional("own_layers", checkpoint.own,
                  [](const Node& one) -> Result<std::optional<OwnLayers>> {
                    return std::optional(TRY(read_own_layers(one)));
                  });
  fields.optional("fault", checkpoint.fault, text(kMaxMessageBytes));
  fields.optional("replaced", checkpoint.replaced, read_replaced);
  TRY(fields.finish());
  return checkpoint;
}

Json to_json(const Outcome& outcome) {
  return JsonObject{{"reason", to_string(outcome.reason)},
                    {"exit_code", outcome.exit_code},
                    {"signal", outcome.signal},
                    {"message", outcome.message}};
}

Result<Outcome> read_outcome(const Node& node) {
  Outcome outcome;
  Fields fields(node);
  fields.required("reason", outcome.reason, parsed(end_reason_from));
  fields.required("exit_code", outcome.exit_code, integer<int>(0, 255));
  fields.required("signal", outcome.signal, integer<int>(0, 64));
  fields.required("message", outcome.message, text(kMaxMessageBytes));
  TRY(fields.finish());
  return outcome;
}

Json to_json(const RunRequest& request) {
  JsonArray inputs;
  for (const InputFile& input : request.inputs) inputs.push_back(to_json(input));
  JsonObject object{
      {"agent", request.agent},
      {"version", request.version},
      {"environment", request.environment},
      {"environment_digest", request.environment_digest},
      {"files_digest", request.files_digest},
      {"argv", text_list(request.argv)},
      {"env", text_list(request.env)},
      {"user", request.user},
      {"profile", request.profile},
      {"inputs", inputs},
      {"limits", to_json(request.limits)},
      {"session", request.session},
      {"with_stdin", request.with_stdin},
      {"attach", request.attach},
      {"idempotency_key", request.idempotency_key},
  };
  if (!request.cwd.empty()) object["cwd"] = request.cwd;
  if (!request.environment_layers.empty())
    object["environment_layers"] = text_list(request.environment_layers);
  if (request.idle_timeout_ms > 0) {
    object["idle_timeout_ms"] = request.idle_timeout_ms;
    object["on_idle"] = to_string(request.on_idle);
  }
  if (request.checkpoint_interval_ms > 0)
    object["checkpoint_interval_ms"] = request.checkpoint_interval_ms;
  if (request.durable) object["durable"] = true;
  if (!request.forked_from.empty()) object["forked_from"] = request.forked_from;
  if (!request.about.empty()) object["about"] = request.about;
  if (!request.runner.empty()) {
    object["runner"] = request.runner;
    object["runner_digest"] = request.runner_digest;
  }
  return object;
}

Result<RunRequest> read_run_request(const Node& node) {
  RunRequest request;
  Fields fields(node);
  fields.optional("agent", request.agent, text(kMaxNameBytes));
  fields.optional("version", request.version, integer<std::uint32_t>());
  fields.required("environment", request.environment, text(kMaxEnvironmentTextBytes));
  fields.optional("environment_digest", request.environment_digest, read_digest_or_empty);
  fields.optional("environment_layers", request.environment_layers,
                  list_of(read_digest, kMaxEnvironmentLayers));
  fields.optional("files_digest", request.files_digest, read_digest_or_empty);
  fields.optional("runner", request.runner, text(kMaxRunnerTextBytes));
  fields.optional("runner_digest", request.runner_digest, read_digest_or_empty);
  fields.required("argv", request.argv, list_of(text(kMaxArgBytes), kMaxArgs));
  fields.optional("env", request.env, list_of(text(kMaxEnvBytes), kMaxEnv));
  fields.optional("session", request.session, boolean());
  fields.optional("idle_timeout_ms", request.idle_timeout_ms,
                  integer<std::uint64_t>(0, LimitBounds::kTimeMaxMs));
  fields.optional("on_idle", request.on_idle, parsed(on_idle_from));
  fields.optional("checkpoint_interval_ms", request.checkpoint_interval_ms,
                  integer<std::uint64_t>(0, LimitBounds::kTimeMaxMs));
  fields.optional("durable", request.durable, boolean());
  fields.optional("forked_from", request.forked_from, read_run_id);
  fields.optional("about", request.about, text(kMaxMessageBytes));
  fields.optional("user", request.user, read_user);
  fields.optional("cwd", request.cwd, text(kMaxPathBytes));
  fields.optional("profile", request.profile, choice({"strict", "default", "build"}));
  fields.optional("inputs", request.inputs, list_of(read_input_file, kMaxInputFiles));
  fields.optional("limits", request.limits, read_limits);
  fields.optional("with_stdin", request.with_stdin, boolean());
  fields.optional("attach", request.attach, boolean());
  fields.optional("idempotency_key", request.idempotency_key, text(kMaxIdempotencyKeyBytes));
  TRY(fields.finish());
  const Node argv = node.member("argv", node.value().as_object().at("argv"));
  if (!request.session && request.argv.empty()) return argv.refuse("must not be empty");
  if (request.session && !request.argv.empty()) return argv.refuse("a session has none");
  return request;
}

namespace {

bool has_layers(RunEventType type) {
  return type == RunEventType::hibernated || type == RunEventType::checkpointed;
}

}  // namespace

Json to_json(const RunEvent& event) {
  JsonObject object{{"sequence", event.sequence},
                    {"at_ms", event.at_ms},
                    {"at", format_utc(event.at_ms)},
                    {"type", to_string(event.type)},
                    {"message", event.message}};
  if (!event.launcher.empty()) object["launcher"] = event.launcher;
  if (has_layers(event.type)) object["own_layers"] = to_json(event.own);
  if (!event.replaced.empty()) object["replaced"] = text_list(event.replaced);
  if (event.type == RunEventType::slept) object["usage"] = to_json(event.usage);
  if (event.type == RunEventType::denied) {
    object["call"] = event.call;
    object["count"] = event.count;
  }
  if (event.type == RunEventType::ended) {
    if (event.outcome) object["outcome"] = to_json(*event.outcome);
    object["usage"] = to_json(event.usage);
    object["log_cut"] = event.log_cut;
  }
  return object;
}

Result<RunEvent> read_run_event(const Node& node) {
  RunEvent event;
  std::string for_people;
  Fields fields(node);
  fields.required("sequence", event.sequence, integer<std::uint64_t>(1, kMaxCount));
  fields.required("at_ms", event.at_ms, count());
  fields.optional("at", for_people, text(kMaxNameBytes));
  fields.required("type", event.type, parsed(run_event_type_from));
  fields.required("message", event.message, text(kMaxMessageBytes));
  fields.optional("launcher", event.launcher, text(kMaxNameBytes));
  fields.optional("own_layers", event.own, read_own_layers);
  fields.optional("replaced", event.replaced, read_replaced);
  fields.optional("call", event.call, text(kMaxNameBytes));
  fields.optional("count", event.count, count());
  fields.optional("outcome", event.outcome, read_outcome);
  fields.optional("usage", event.usage, read_usage);
  fields.optional("log_cut", event.log_cut, boolean());
  TRY(fields.finish());
  if ((event.type == RunEventType::ended) != event.outcome.has_value()) {
    return node.refuse("an outcome belongs to the event ended, and to no other");
  }
  if (!has_layers(event.type) && !event.own.empty()) {
    return node.refuse("own_layers belong to hibernated and checkpointed, and to no other event");
  }
  if ((event.type == RunEventType::denied) != (event.count > 0 && !event.call.empty())) {
    return node.refuse("a call and its count belong to the event denied, and to no other");
  }
  return event;
}

Json to_json(const Run& run) {
  JsonObject object{{"tenant", run.tenant},          {"id", run.id},
                    {"state", to_string(run.state)}, {"request", to_json(run.request)},
                    {"created_ms", run.created_ms},  {"started_ms", run.started_ms},
                    {"ended_ms", run.ended_ms},      {"attempt", run.attempt}};
  add_time(object, "created_at", run.created_ms);
  add_time(object, "started_at", run.started_ms);
  add_time(object, "ended_at", run.ended_ms);
  if (run.outcome) object["outcome"] = to_json(*run.outcome);
  object["usage"] = to_json(run.usage);
  object["log_cut"] = run.log_cut;
  if (!run.own.empty()) object["own_layers"] = to_json(run.own);
  if (run.checkpoint != Checkpoint()) object["checkpoint"] = to_json(run.checkpoint);
  return object;
}

Result<Run> read_run(const Node& node) {
  Run run;
  std::string for_people;
  Fields fields(node);
  fields.required("tenant", run.tenant, text(kMaxNameBytes, 1));
  fields.required("id", run.id, read_run_id);
  fields.required("request", run.request, read_run_request);
  fields.required("state", run.state, parsed(run_state_from));
  fields.required("created_ms", run.created_ms, count());
  fields.required("started_ms", run.started_ms, count());
  fields.required("ended_ms", run.ended_ms, count());
  for (const std::string_view key : {"created_at", "started_at", "ended_at"}) {
    fields.optional(key, for_people, text(kMaxNameBytes));
  }
  fields.required("attempt", run.attempt, integer<std::uint32_t>());
  fields.optional("outcome", run.outcome, read_outcome);
  fields.required("usage", run.usage, read_usage);
  fields.required("log_cut", run.log_cut, boolean());
  fields.optional("own_layers", run.own, read_own_layers);
  fields.optional("checkpoint", run.checkpoint, read_checkpoint);
  TRY(fields.finish());
  if (is_terminal(run.state) != run.outcome.has_value()) {
    return node.refuse("an outcome belongs to a terminal state, and to no other");
  }
  return run;
}

Result<RunRequest> run_request_from_json(const Json& json) {
  return read_run_request(Node(json, Unknown::ignore));
}
Result<RunEvent> run_event_from_json(const Json& json) {
  return read_run_event(Node(json, Unknown::ignore));
}
Result<Run> run_from_json(const Json& json) { return read_run(Node(json, Unknown::ignore)); }

}  // namespace tare::model
