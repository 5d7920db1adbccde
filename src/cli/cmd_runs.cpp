// tare ps, logs, inspect, artifacts, kill, rm: runs that are there already.
#include <cerrno>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/text.h"
#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/denied.h"
#include "cli/each.h"
#include "cli/exit_status.h"
#include "cli/foreground.h"
#include "cli/quantity.h"
#include "cli/render.h"
#include "cli/run_output.h"
#include "cli/run_request.h"
#include "http/url.h"
#include "model/run_json.h"

namespace tare::cli {
namespace {

constexpr std::size_t kMaxAboutShown = 80;

// "succeeded", "failed (timeout)", "failed (exit 3)".
std::string state_text(const Json& run) {
  const std::string state = text_at(run, {"state"});
  const std::string reason = text_at(run, {"outcome", "reason"});
  if (reason.empty() || state == "succeeded") return printable(state);
  if (reason == "exited")
    return fmt::format("{} (exit {})", state, number_at(run, {"outcome", "exit_code"}));
  return printable(fmt::format("{} ({})", state, reason));
}

std::string what_text(const Json& run) {
  const std::string agent = text_at(run, {"request", "agent"});
  if (!agent.empty())
    return printable(fmt::format("{}@{}", agent, number_at(run, {"request", "version"})));
  return printable(text_at(run, {"request", "environment"}), 24);
}

std::string wall_text(const Json& run, std::uint64_t now_ms) {
  if (const auto wall_us = number_at(run, {"usage", "wall_us"}); wall_us > 0)
    return elapsed_text(wall_us);
  const auto started = number_at(run, {"started_ms"});
  if (started == 0 || number_at(run, {"ended_ms"}) != 0) return "-";
  return elapsed_text((now_ms > started ? now_ms - started : 0) * 1000);
}

// Of what Tare itself makes a run of: that, and not how it does it.
std::string program_text(const Json& run) {
  const std::string about = text_at(run, {"request", "about"});
  if (!about.empty()) return printable("tare " + about, kMaxAboutShown);
  const Json* request = run.is_object() ? run.get_object().if_contains("request") : nullptr;
  return request != nullptr ? command_text(array_at(*request, "argv")) : "";
}

std::vector<std::string> row_of(const Json& run, std::uint64_t now_ms) {
  const auto peak = number_at(run, {"usage", "memory_peak_bytes"});
  return {printable(text_at(run, {"id"})),
          what_text(run),
          state_text(run),
          age_text(number_at(run, {"created_ms"}), now_ms),
          wall_text(run, now_ms),
          peak > 0 ? format_size_rounded(peak) : "-",
          program_text(run)};
}

std::string_view type_text(Artifact::Type type) {
  switch (type) {
    case Artifact::Type::file: return "file";
    case Artifact::Type::directory: return "directory";
    case Artifact::Type::symlink: return "symlink";
  }
  return "";
}

Json artifact_json(const Artifact& artifact) {
  JsonObject out{{"path", artifact.path},
                 {"type", type_text(artifact.type)},
                 {"size", artifact.size},
                 {"mode", artifact.mode}};
  if (!artifact.target.empty()) out["target"] = artifact.target;
  return out;
}

}  // namespace

Result<int> run_command(const PsCommand& command, App& app, const fiber::Context& ctx) {
  std::string path = fmt::format("/v1/runs?limit={}", command.limit);
  if (!command.all) path += "&state=active";
  if (!command.agent.empty()) path += "&agent=" + http::percent_encode(command.agent);
  const auto answer = TRY(app.client.get(path, ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"ID", "AGENT", "STATE", "AGE", "TIME", "MEMORY", "COMMAND"});
  const std::uint64_t now_ms = app.clock.wall_ms();
  for (const Json& run : array_at(answer.body, "runs")) table.add(row_of(run, now_ms));
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const LogsCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.id, ctx));
  TRY(app.client.get(run_path(id), ctx));  // with no daemon: said at once, not after a minute
  StreamingSink sink(app);
  auto run = follow_output(app, {.id = id, .follow = command.follow, .attach = false}, sink, ctx);
  if (!run && run.error().sys == EPIPE) return kExitBrokenPipe;
  if (!run) return std::move(run).error();
  if (!command.follow) return kExitOk;
  note_denied(app, *run, ctx);
  if (const std::string line = ending_line(*run); !line.empty()) app.note(line, ctx);
  return model::exit_status_of(*run->outcome);
}

Result<int> run_command(const InspectCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.id, ctx));
  auto run = TRY(app.client.get(run_path(id), ctx)).body;
  const auto events = TRY(app.client.get(run_path(id, "/events"), ctx)).body;
  if (run.is_object()) run.get_object()["events"] = array_at(events, "events");
  TRY(app.print(pretty_text(run), ctx));
  return kExitOk;
}

Result<int> run_command(const ArtifactsCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.id, ctx));
  if (!command.out.empty()) {
    const Fetched fetched = TRY(fetch_artifacts(app, id, command.out, ctx));
    if (command.json) {
      TRY(app.print(pretty_text(JsonObject{{"files", fetched.files}, {"skipped", fetched.skipped}}),
                    ctx));
    }
    return kExitOk;
  }
  const auto artifacts = TRY(list_artifacts(app, id, ctx));
  JsonArray array;
  Table table({"SIZE", "MODE", "PATH"});
  for (const Artifact& artifact : artifacts) {
    array.push_back(artifact_json(artifact));
    const bool folder = artifact.type == Artifact::Type::directory;
    const std::string arrow = artifact.type == Artifact::Type::symlink
                                  ? " -> " + printable(artifact.target)
                              : folder ? "/"
                                       : "";
    table.add({folder ? "-" : std::to_string(artifact.size), fmt::format("{:04o}", artifact.mode),
               printable(artifact.path) + arrow});
  }
  TRY(app.print(command.json ? pretty_text(JsonObject{{"artifacts", array}}) : table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const KillCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_run(command.ids, command.json, app, ctx, [&](const std::string& id) -> Result<> {
    TRY(app.client.post_empty(run_path(id, "/kill"), ctx));
    return wait_ended(app, id, ctx);
  });
}

Result<int> run_command(const RemoveCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_run(command.ids, command.json, app, ctx, [&](const std::string& id) -> Result<> {
    TRY(app.client.remove(run_path(id), ctx));
    return ok();
  });
}

}  // namespace tare::cli
