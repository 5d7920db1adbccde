#include "model/exec_json.h"

#include "base/ids.h"
#include "base/limits.h"
#include "model/run_json.h"

namespace tare::model {

namespace {

auto count() { return integer<std::uint64_t>(0, kMaxCount); }

Result<std::optional<TerminalSize>> read_terminal(const Node& node) {
  return std::optional(TRY(read_terminal_size(node)));
}

Result<std::optional<Outcome>> read_ending(const Node& node) {
  return std::optional(TRY(read_outcome(node)));
}

}  // namespace

Json to_json(const TerminalSize& size) {
  return JsonObject{{"rows", size.rows}, {"columns", size.columns}};
}

Result<TerminalSize> read_terminal_size(const Node& node) {
  TerminalSize size;
  Fields fields(node);
  fields.optional("rows", size.rows, integer<std::uint16_t>(1, TerminalSize::kMost));
  fields.optional("columns", size.columns, integer<std::uint16_t>(1, TerminalSize::kMost));
  TRY(fields.finish());
  return size;
}

Json to_json(const ExecRequest& request) {
  JsonObject out{{"argv", text_list(request.argv)},
                 {"env", text_list(request.env)},
                 {"cwd", request.cwd},
                 {"stdin", request.with_stdin},
                 {"attach", request.attach}};
  if (request.terminal) out["terminal"] = to_json(*request.terminal);
  return out;
}

Result<ExecRequest> read_exec_request(const Node& node) {
  ExecRequest request;
  Fields fields(node);
  fields.required("argv", request.argv, list_of(text(kMaxArgBytes), kMaxArgs, 1));
  fields.optional("env", request.env, list_of(text(kMaxEnvBytes), kMaxEnv));
  fields.optional("cwd", request.cwd, text(kMaxPathBytes));
  fields.optional("terminal", request.terminal, read_terminal);
  fields.optional("stdin", request.with_stdin, boolean());
  fields.optional("attach", request.attach, boolean());
  TRY(fields.finish());
  return request;
}

Json to_json(const Exec& exec) {
  JsonObject out{{"run", exec.run},
                 {"number", exec.number},
                 {"request", to_json(exec.request)},
                 {"state", to_string(exec.state)},
                 {"created_ms", exec.created_ms},
                 {"started_ms", exec.started_ms},
                 {"ended_ms", exec.ended_ms},
                 {"log_cut", exec.log_cut}};
  if (exec.outcome) out["outcome"] = to_json(*exec.outcome);
  return out;
}

Result<Exec> exec_from_json(const Json& json) {
  Exec exec;
  const Node node(json);
  Fields fields(node);
  fields.required("run", exec.run, text(kRunIdBytes));
  fields.required("number", exec.number, integer<std::uint32_t>(1));
  fields.required("request", exec.request, read_exec_request);
  fields.required("state", exec.state, parsed(exec_state_from));
  fields.required("created_ms", exec.created_ms, count());
  fields.required("started_ms", exec.started_ms, count());
  fields.required("ended_ms", exec.ended_ms, count());
  fields.required("log_cut", exec.log_cut, boolean());
  fields.optional("outcome", exec.outcome, read_ending);
  TRY(fields.finish());
  if ((exec.state == ExecState::ended) != exec.outcome.has_value())
    return node.refuse("an outcome belongs to the state ended, and to no other");
  return exec;
}

}  // namespace tare::model
