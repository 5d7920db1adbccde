// tare runner add, list, show, rm, use, back, history.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/time_text.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "cli/uploads.h"
#include "http/url.h"
#include "model/runner.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

constexpr unsigned kPlainMode = 0644, kExecutableMode = 0755;

std::string runner_path(const model::RunnerRef& ref) {
  std::string path = "/v1/runners/" + http::percent_encode(ref.name);
  return ref.version.empty() ? path : path + "/versions/" + http::percent_encode(ref.version);
}

std::string agent_runner_path(const std::string& agent) {
  return "/v1/agents/" + http::percent_encode(agent) + "/runner";
}

std::string reference_of(const Json& runner) {
  return printable(text_at(runner, {"name"})) + "@" + printable(text_at(runner, {"version"}));
}

// A folder; or the name of a runner that comes with Tare.
Result<std::string> runner_folder(const std::string& text) {
  if (text.find('/') != std::string::npos || sys::exists_at(sys::kCwd, text + "/runner.toml"))
    return text;
  const auto self = TRY(sys::read_link_at(sys::kCwd, "/proc/self/exe"));
  const std::string shipped = self.substr(0, self.rfind('/')) + "/../share/tare/runners";
  const std::string own = shipped + "/" + text;
  if (sys::exists_at(sys::kCwd, own + "/runner.toml")) return own;
  auto names = sys::list_dir(sys::kCwd, shipped).value_or({});
  std::ranges::sort(names);
  return Error{Errc::not_found,
               fmt::format("there is no {}/runner.toml here, and no runner of that name comes with "
                           "Tare ({})",
                           printable(text), fmt::join(names, ", "))};
}

Result<std::vector<LocalFile>> runner_files(const std::string& directory) {
  std::vector<LocalFile> out;
  const auto folder = TRY(sys::open_directory(directory));
  for (const std::string& name : TRY(sys::list_dir(folder.get(), "."))) {
    for (LocalFile& file : TRY(find_files(name, name, kMaxAgentFiles, directory))) {
      if (!model::is_compiled(file.name)) out.push_back(std::move(file));
    }
  }
  if (out.size() <= kMaxAgentFiles) return out;
  return Error{Errc::exhausted, fmt::format("{}: more than {} files", directory, kMaxAgentFiles)};
}

// "python@1.1, 10 % of the runs; the rest python@1.0".
std::string rollout_text(const Json& rollout) {
  std::string out = printable(text_at(rollout, {"runner"}));
  const std::string rest = text_at(rollout, {"rest"});
  if (rest.empty()) return out;
  return fmt::format("{}, {} % of the runs; the rest {}", out, number_at(rollout, {"percent"}),
                     printable(rest));
}

Result<int> print_rollout(const std::string& agent, const Json& rollout, bool json, App& app,
                          const fiber::Context& ctx) {
  const std::string line = fmt::format("{}: {}\n", agent, rollout_text(rollout));
  TRY(app.print(json ? pretty_text(rollout) : line, ctx));
  return kExitOk;
}

}  // namespace

Result<int> run_command(const RunnerAddCommand& command, App& app, const fiber::Context& ctx) {
  // Looked at here too: errors then name the file's path, and nothing is uploaded for nothing.
  const std::string folder = TRY(runner_folder(command.directory));
  const std::string file_name = folder + "/runner.toml";
  TRY(model::parse_runner_toml(TRY(sys::read_file_at(sys::kCwd, file_name, kMaxTomlBytes)),
                               file_name));
  JsonArray entries;
  for (LocalFile& file : TRY(runner_files(folder))) {
    TRY(upload(app, file, ctx));
    entries.push_back(JsonObject{{"path", file.name},
                                 {"mode", file.executable ? kExecutableMode : kPlainMode},
                                 {"digest", file.digest}});
  }
  const auto answer = TRY(
      app.client.post("/v1/runners", JsonObject{{"files", std::move(entries)}}, ctx));
  const std::string line = fmt::format("{}{}\n", reference_of(answer.body),
                                       answer.status == 200 ? " (unchanged)" : "");
  TRY(app.print(command.json ? pretty_text(answer.body) : line, ctx));
  return kExitOk;
}

Result<int> run_command(const RunnerListCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/runners", ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"RUNNER", "LANGUAGES", "ADDED", "DIGEST"});
  for (const Json& runner : array_at(answer.body, "runners")) {
    table.add({reference_of(runner), command_text(array_at(runner, "languages")),
               format_utc(number_at(runner, {"created_ms"})),
               printable(text_at(runner, {"digest"}), 20)});
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const RunnerShowCommand& command, App& app, const fiber::Context& ctx) {
  const auto ref = TRY(model::parse_runner_ref(command.runner));
  const Json runner = TRY(app.client.get(runner_path(ref), ctx)).body;
  if (command.json) {
    TRY(app.print(pretty_text(runner), ctx));
    return kExitOk;
  }
  Table table({"runner", reference_of(runner)});
  if (const auto text = text_at(runner, {"description"}); !text.empty())
    table.add({"description", printable(text)});
  table.add({"digest", printable(text_at(runner, {"digest"}))});
  table.add({"entry", command_text(array_at(runner, "entry"), 200)});
  table.add({"handshake", command_text(array_at(runner, "handshake"), 200)});
  table.add({"languages", command_text(array_at(runner, "languages"))});
  table.add({"needs", command_text(array_at(runner, "needs"))});
  table.add({"added", format_utc(number_at(runner, {"created_ms"}))});
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const RunnerRemoveCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_name(
      command.runners, command.json, app, ctx, [&](const std::string& text) -> Result<std::string> {
        const auto ref = TRY(model::parse_runner_ref(text));
        if (ref.version.empty()) {
          return Error{Errc::invalid,
                       fmt::format("name a version, {}@VERSION: `tare runner list` shows those "
                                   "there are",
                                   ref.name)};
        }
        TRY(app.client.remove(runner_path(ref), ctx));
        return ref.text();
      });
}

Result<int> run_command(const RunnerUseCommand& command, App& app, const fiber::Context& ctx) {
  const JsonObject body{{"runner", command.runner}, {"percent", command.percent}};
  const auto answer = TRY(app.client.post(agent_runner_path(command.agent), body, ctx));
  return print_rollout(command.agent, answer.body, command.json, app, ctx);
}

Result<int> run_command(const RunnerBackCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.post_empty(agent_runner_path(command.agent) + "/back", ctx));
  return print_rollout(command.agent, answer.body, command.json, app, ctx);
}

Result<int> run_command(const RunnerSwapCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  JsonObject body;
  if (!command.runner.empty()) body["runner"] = command.runner;
  const Json runner = TRY(app.client.post("/v1/sessions/" + id + "/runner", body, ctx)).body;
  TRY(app.print(command.json ? pretty_text(runner) : reference_of(runner) + "\n", ctx));
  return kExitOk;
}

Result<int> run_command(const RunnerHistoryCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get(agent_runner_path(command.agent), ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"SINCE", "RUNNER"});
  for (const Json& rollout : array_at(answer.body, "history"))
    table.add({format_utc(number_at(rollout, {"at_ms"})), rollout_text(rollout)});
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

}  // namespace tare::cli
