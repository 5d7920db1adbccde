// tare agent apply, list, show.
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time_text.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "cli/uploads.h"
#include "http/url.h"
#include "model/agent.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

constexpr unsigned kPlainMode = 0644, kExecutableMode = 0755;

std::string agent_path(std::string_view name, std::uint32_t version) {
  std::string path = "/v1/agents/" + http::percent_encode(name);
  return version == 0 ? path : fmt::format("{}/versions/{}", path, version);
}

// What the manifest names, found beside it.
Result<std::vector<LocalFile>> agent_files(const model::AgentManifest& manifest,
                                           const std::string& directory) {
  std::vector<LocalFile> out;
  for (const std::string& name : manifest.files) {
    auto files = TRY(
        find_files(name, name, kMaxAgentFiles, directory).context("agent.toml: files"));
    std::move(files.begin(), files.end(), std::back_inserter(out));
  }
  if (out.size() <= kMaxAgentFiles) return out;
  return Error{Errc::exhausted, fmt::format("agent.toml: files: more than {}", kMaxAgentFiles)};
}

// "memory 64M, cpus 1, pids 256, disk 128M (65536 files), time 30s".
std::string limits_text(const Json& agent) {
  const auto limit = [&](std::string_view key) { return number_at(agent, {"limits", key}); };
  std::string out = fmt::format(
      "memory {}, cpus {}, pids {}, disk {} ({} files), open files {}",
      format_size(limit("memory_bytes")), static_cast<double>(limit("cpu_millis")) / 1000,
      limit("pids"), format_size(limit("disk_bytes")), limit("disk_inodes"), limit("open_files"));
  if (const auto time_ms = limit("time_ms"); time_ms > 0)
    out += ", time " + format_duration(time_ms);
  if (const auto bytes = limit("output_bytes"); bytes > 0) out += ", output " + format_size(bytes);
  return out;
}

}  // namespace

Result<int> run_command(const AgentApplyCommand& command, App& app, const fiber::Context& ctx) {
  const std::string file_name = command.directory + "/agent.toml";
  const std::string manifest = TRY(sys::read_file_at(sys::kCwd, file_name, kMaxTomlBytes));
  // Looked at here too: errors then name the file's path, and nothing is uploaded for nothing.
  const auto parsed = TRY(model::parse_agent_toml(manifest, file_name));
  JsonArray entries;
  for (LocalFile& file : TRY(agent_files(parsed, command.directory))) {
    TRY(upload(app, file, ctx));
    entries.push_back(JsonObject{{"path", file.name},
                                 {"mode", file.executable ? kExecutableMode : kPlainMode},
                                 {"digest", file.digest}});
  }
  const auto answer = TRY(
      app.client.post("/v1/agents", JsonObject{{"manifest", manifest}, {"files", entries}}, ctx));
  const std::string line = fmt::format("{}@{}{}\n", printable(text_at(answer.body, {"name"})),
                                       number_at(answer.body, {"version"}),
                                       answer.status == 200 ? " (unchanged)" : "");
  TRY(app.print(command.json ? pretty_text(answer.body) : line, ctx));
  return kExitOk;
}

Result<int> run_command(const AgentListCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get(fmt::format("/v1/agents?limit={}", kMaxListedRuns), ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"NAME", "VERSION", "ENVIRONMENT", "ENTRY"});
  for (const Json& agent : array_at(answer.body, "agents")) {
    table.add({printable(text_at(agent, {"name"})), std::to_string(number_at(agent, {"version"})),
               printable(text_at(agent, {"environment"}), 40),
               command_text(array_at(agent, "entry"))});
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const AgentShowCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get(agent_path(command.name, command.version), ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  const Json& agent = answer.body;
  Table table({"name", printable(text_at(agent, {"name"}))});
  table.add({"version", std::to_string(number_at(agent, {"version"}))});
  if (const auto text = text_at(agent, {"description"}); !text.empty())
    table.add({"description", printable(text)});
  table.add({"environment", printable(text_at(agent, {"environment"}))});
  const std::string digest = text_at(agent, {"environment_digest"});
  table.add({"digest", digest.empty() ? "- (not reproducible)" : printable(digest)});
  table.add({"entry", command_text(array_at(agent, "entry"), 200)});
  table.add({"user", printable(text_at(agent, {"user"}))});
  table.add({"profile", printable(text_at(agent, {"profile"}))});
  table.add({"limits", limits_text(agent)});
  table.add({"created", format_utc(number_at(agent, {"created_ms"}))});
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

}  // namespace tare::cli
