#include "cli/run_request.h"

#include <fmt/core.h>

namespace tare::cli {
namespace {

template <class T>
void add(JsonObject& object, std::string_view key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}

}  // namespace

JsonObject limits_json(const LimitOptions& limits) {
  JsonObject out;
  add(out, "memory_bytes", limits.memory_bytes);
  add(out, "cpu_millis", limits.cpu_millis);
  add(out, "pids", limits.pids);
  add(out, "disk_bytes", limits.disk_bytes);
  add(out, "disk_inodes", limits.disk_inodes);
  add(out, "output_bytes", limits.output_bytes);
  add(out, "time_ms", limits.time_ms);
  add(out, "open_files", limits.open_files);
  return out;
}

Json run_request(const RunCommand& command, const std::vector<LocalFile>& inputs,
                 const std::string& key) {
  JsonObject body;
  if (command.agent.empty()) {
    body["environment"] = command.environment;
    if (!command.runner.empty()) body["runner"] = command.runner;
  } else {
    body["agent"] = command.agent;
    if (command.version != 0) body["version"] = command.version;
  }
  if (!command.argv.empty()) body["argv"] = text_list(command.argv);
  if (!command.env.empty()) body["env"] = text_list(command.env);
  add(body, "user", command.user);
  add(body, "profile", command.profile);
  if (JsonObject limits = limits_json(command.limits); !limits.empty())
    body["limits"] = std::move(limits);
  JsonArray files;
  for (const LocalFile& file : inputs)
    files.push_back(JsonObject{{"name", file.name}, {"digest", file.digest}});
  if (!files.empty()) body["inputs"] = std::move(files);
  if (command.with_stdin) body["stdin"] = true;
  // A run that nobody follows must not wait for a reader.
  if (!command.detach && !command.dry_run) body["attach"] = true;
  if (!command.dry_run) body["idempotency_key"] = key;
  return body;
}

std::string ending_line(const model::Run& run) {
  if (!run.outcome) return "";
  // What the program's own status says is not said again; which limits it met is.
  if (run.outcome->reason == model::EndReason::exited && !run.usage.met_a_limit()) return "";
  const std::string& message = run.outcome->message;
  return fmt::format(
      "{}: {}", run.id,
      message.empty() ? std::string(model::to_string(run.outcome->reason)) : message);
}

}  // namespace tare::cli
