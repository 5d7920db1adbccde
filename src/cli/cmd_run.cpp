// tare run: uploads the inputs, asks for the run, passes its output on, fetches its artifacts,
// exits as it did.
#include <cerrno>
#include <unordered_set>

#include <fmt/core.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/denied.h"
#include "cli/exit_status.h"
#include "cli/foreground.h"
#include "cli/render.h"
#include "cli/run_output.h"
#include "cli/run_request.h"
#include "cli/uploads.h"
#include "fiber/timer.h"
#include "model/run_json.h"

namespace tare::cli {
namespace {

constexpr std::chrono::seconds kCreateRetryFor{60};
constexpr std::chrono::milliseconds kCreatePause{300};

Result<std::vector<LocalFile>> local_inputs(const RunCommand& command) {
  std::vector<LocalFile> out;
  for (const InputOption& input : command.inputs) {
    const std::string name = input.name.empty() ? TRY(name_of_path(input.path)) : input.name;
    auto files = TRY(find_files(input.path, name, kMaxInputFiles).context("--input"));
    std::move(files.begin(), files.end(), std::back_inserter(out));
  }
  if (out.size() > kMaxInputFiles) {
    return Error{Errc::exhausted, fmt::format("--input: more than {} files", kMaxInputFiles)};
  }
  std::unordered_set<std::string_view> names;
  for (const LocalFile& file : out) {
    if (names.insert(file.name).second) continue;
    return Error{Errc::invalid,
                 fmt::format("--input: two files would be /input/{}; name one of them with "
                             "NAME=FILE",
                             printable(file.name))};
  }
  return out;
}

std::string new_key(Random& random) {
  return fmt::format("cli-{:016x}{:016x}", random.next_u64(), random.next_u64());
}

// POST, again while the answer is lost: the key makes it one run.
Result<Json> create(App& app, const Json& body, const fiber::Context& ctx) {
  const fiber::Context limited = ctx.with_timeout(kCreateRetryFor);
  bool lost = false;
  for (;;) {
    auto answer = app.client.post("/v1/runs", body, limited);
    if (answer) return std::move(answer->body);
    lost = lost || connection_lost(answer.error());
    // A server that refuses has lost nothing; one that was not there from the beginning will not
    // come.
    const bool again = connection_lost(answer.error()) ||
                       (lost && answer.error().code == Errc::unavailable);
    if (!again || !fiber::sleep_for(kCreatePause, limited)) return std::move(answer).error();
  }
}

Result<int> dry_run(const RunCommand& command, App& app, const fiber::Context& ctx) {
  std::vector<LocalFile> inputs = TRY(local_inputs(command));
  // The plan does not depend on what is in them: nothing is uploaded.
  for (LocalFile& file : inputs) file.digest = sha256_text("");
  const auto answer = TRY(
      app.client.post("/v1/runs?dry_run=true", run_request(command, inputs, ""), ctx));
  TRY(app.print(command.json ? pretty_text(answer.body) : text_at(answer.body, {"plan"}), ctx));
  return kExitOk;
}

Result<int> detached(const RunCommand& command, App& app, const Json& created,
                     const fiber::Context& ctx) {
  TRY(app.print(
      command.json ? pretty_text(JsonObject{{"run", created}}) : text_at(created, {"id"}) + "\n",
      ctx));
  return kExitOk;
}

// After the run: artifacts, the line that says how it ended, the exit status.
Result<int> finish(const RunCommand& command, App& app, const model::Run& run,
                   const CapturingSink& captured, int interrupted, const fiber::Context& ctx) {
  const int status = interrupted != 0 ? 128 + interrupted : model::exit_status_of(*run.outcome);
  Result<Fetched> fetched = Fetched{};
  if (!command.out.empty()) {
    fetched = fetch_artifacts(app, run.id, command.out, ctx)
                  .context(fmt::format("{}: --out", run.id));
  }
  if (command.json) {
    JsonObject object{{"run", model::to_json(run)}, {"exit_status", status}};
    if (!run.request.runner.empty()) {
      const auto whole = TRY(app.client.get(run_path(run.id), ctx)).body;
      if (const Json* report = whole.as_object().if_contains("report")) object["report"] = *report;
    }
    captured.add_to(object);
    if (!command.out.empty() && fetched) object["artifacts"] = fetched->files;
    TRY(app.print(pretty_text(object), ctx));
  } else {
    if (command.tells_denied) note_denied(app, run, ctx);
    if (const std::string line = ending_line(run); !line.empty()) app.note(line, ctx);
  }
  if (fetched) return status;
  if (status == 0) return std::move(fetched).error();
  app.note(fetched.error().message, ctx);  // the program's own failure is the one to exit with
  return status;
}

}  // namespace

Result<int> run_command(const RunCommand& command, App& app, const fiber::Context& ctx) {
  if (command.dry_run) return dry_run(command, app, ctx);
  Foreground foreground(app, TRY(Foreground::block_signals()), ctx);
  std::vector<LocalFile> inputs = TRY(local_inputs(command));
  for (LocalFile& file : inputs) {
    auto uploaded = upload(app, file, foreground.before_run());
    if (foreground.interrupted() != 0) return 128 + foreground.interrupted();
    if (!uploaded) return std::move(uploaded).error();
  }
  const std::string key = command.idempotency_key.empty() ? new_key(app.random)
                                                          : command.idempotency_key;
  // From here on a run may exist: a signal is answered by killing it, not by leaving.
  const Json created = TRY(create(app, run_request(command, inputs, key), ctx));
  if (command.detach) return detached(command, app, created, ctx);

  const std::string id = text_at(created, {"id"});
  CapturingSink capturing;
  StreamingSink streaming(app);
  OutputSink& sink = command.json ? static_cast<OutputSink&>(capturing) : streaming;
  auto run = foreground.attend(id, true, command.with_stdin, sink);
  if (!run && run.error().sys == EPIPE) return kExitBrokenPipe;
  if (!run && foreground.interrupted() != 0) {
    app.note(run.error().message, ctx);
    return 128 + foreground.interrupted();
  }
  if (!run) return std::move(run).error();
  return finish(command, app, *run, capturing, foreground.interrupted(), ctx);
}

}  // namespace tare::cli
