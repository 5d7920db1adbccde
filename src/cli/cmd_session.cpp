// tare session new|list|kill: sandboxes that live until they are ended, for exec, shell and files.
#include <algorithm>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "cli/run_request.h"
#include "fiber/timer.h"
#include "model/run_json.h"

namespace tare::cli {
namespace {

constexpr std::chrono::seconds kStartPatience{120};
constexpr std::chrono::milliseconds kFirstPause{2}, kLongestPause{100};

Json session_request(const SessionNewCommand& command) {
  JsonObject body{{"limits", limits_json(command.limits)}};
  if (command.agent.empty()) {
    body["environment"] = command.environment;
    if (!command.runner.empty()) body["runner"] = command.runner;
  } else {
    body["agent"] = command.agent;
    if (command.version != 0) body["version"] = command.version;
  }
  if (!command.env.empty()) body["env"] = text_list(command.env);
  if (command.user) body["user"] = *command.user;
  if (command.profile) body["profile"] = *command.profile;
  if (command.idle_ms) body["idle_timeout_ms"] = *command.idle_ms;
  if (command.kill_idle) body["on_idle"] = "kill";
  if (command.checkpoint_ms) body["checkpoint_interval_ms"] = *command.checkpoint_ms;
  if (command.durable) body["durable"] = true;
  return body;
}

// A session that could not be made says why here, and not at its first exec.
Result<Json> wait_running(App& app, const std::string& id, const fiber::Context& ctx) {
  const auto limited = ctx.with_timeout(kStartPatience);
  fiber::Duration pause = kFirstPause;
  for (;;) {
    Json run = TRY(app.client.get(run_path(id), limited)).body;
    const std::string state = text_at(run, {"state"});
    if (state != "queued" && state != "starting") return run;
    TRY(fiber::sleep_for(pause, limited));
    pause = std::min<fiber::Duration>(pause * 2, kLongestPause);
  }
}

// What is kept of it while it is awake, and the last checkpoint: "durable, 3s ago". Asleep, all is.
std::string checkpoint_text(const Json& run, std::uint64_t now_ms) {
  std::vector<std::string> words;
  if (flag_at(run, {"request", "durable"})) words.emplace_back("durable");
  if (const auto each_ms = number_at(run, {"request", "checkpoint_interval_ms"}); each_ms > 0)
    words.push_back("every " + format_duration(each_ms));
  const bool awake = text_at(run, {"state"}) == "running";
  const auto at_ms = number_at(run, {"checkpoint", "at_ms"});
  if (awake && at_ms > 0) words.push_back(age_text(at_ms, now_ms) + " ago");
  if (awake && !text_at(run, {"checkpoint", "fault"}).empty()) words.emplace_back("failing");
  return fmt::format("{}", fmt::join(words, ", "));
}

std::string state_text(const Json& run) {
  return text_at(run, {"held"}).empty() ? printable(text_at(run, {"state"})) : "held";
}

}  // namespace

Result<int> run_command(const SessionNewCommand& command, App& app, const fiber::Context& ctx) {
  const Json created = TRY(app.client.post("/v1/sessions", session_request(command), ctx)).body;
  const std::string id = text_at(created, {"id"});
  const Json run = TRY(wait_running(app, id, ctx));
  if (text_at(run, {"state"}) != "running") {
    app.note(fmt::format("{}: {}", id, text_at(run, {"outcome", "message"})), ctx);
    return kExitTare;
  }
  TRY(app.print(command.json ? pretty_text(JsonObject{{"session", run}}) : id + "\n", ctx));
  return kExitOk;
}

Result<int> run_command(const SessionListCommand& command, App& app, const fiber::Context& ctx) {
  const std::string path = command.all ? "/v1/sessions?limit=1000"
                                       : "/v1/sessions?limit=1000&state=active";
  const auto answer = TRY(app.client.get(path, ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  const std::uint64_t now_ms = app.clock.wall_ms();
  const JsonArray& sessions = array_at(answer.body, "sessions");
  const bool any_kept = std::ranges::any_of(
      sessions, [&](const Json& run) { return !checkpoint_text(run, now_ms).empty(); });
  std::vector<std::string> header = {"ID", "ENVIRONMENT", "STATE", "AGE", "USER", "PROFILE"};
  if (any_kept) header.emplace_back("CHECKPOINT");
  Table table(std::move(header));
  for (const Json& run : sessions) {
    std::vector<std::string> row = {printable(text_at(run, {"id"})),
                                    printable(text_at(run, {"request", "environment"}), 32),
                                    state_text(run),
                                    age_text(number_at(run, {"created_ms"}), now_ms),
                                    printable(text_at(run, {"request", "user"})),
                                    printable(text_at(run, {"request", "profile"}))};
    if (any_kept) row.push_back(checkpoint_text(run, now_ms));
    table.add(std::move(row));
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const SessionHibernateCommand& command, App& app,
                        const fiber::Context& ctx) {
  return for_each_run(command.ids, command.json, app, ctx, [&](const std::string& id) -> Result<> {
    TRY(app.client.post_and_wait("/v1/sessions/" + id + "/hibernate", ctx));
    return ok();
  });
}

Result<int> run_command(const SessionCheckpointCommand& command, App& app,
                        const fiber::Context& ctx) {
  return for_each_run(command.ids, command.json, app, ctx, [&](const std::string& id) -> Result<> {
    TRY(app.client.post_and_wait("/v1/sessions/" + id + "/checkpoint", ctx));
    return ok();
  });
}

Result<int> run_command(const SessionWakeCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_run(command.ids, command.json, app, ctx, [&](const std::string& id) -> Result<> {
    TRY(app.client.post_and_wait("/v1/sessions/" + id + "/wake", ctx));
    return ok();
  });
}

Result<int> run_command(const SessionForkCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.id, ctx));
  const Json answer = TRY(app.client.post("/v1/sessions/" + id + "/fork",
                                          JsonObject{{"count", command.count}}, ctx))
                          .body;
  JsonArray sessions;
  std::string text;
  for (const Json& one : array_at(answer, "sessions")) {
    const std::string made = text_at(one, {"id"});
    sessions.push_back(TRY(wait_running(app, made, ctx)));
    const std::string state = text_at(sessions.back(), {"state"});
    if (state == "hibernated") {  // it has its files, and got no sandbox
      app.note(fmt::format("{0}: could not be started, and sleeps: `tare session wake {0}` tries "
                           "again",
                           made),
               ctx);
    } else if (state != "running") {
      app.note(fmt::format("{}: {}", made, text_at(sessions.back(), {"outcome", "message"})), ctx);
      return kExitTare;
    }
    text += made + "\n";
  }
  TRY(app.print(command.json ? pretty_text(JsonObject{{"sessions", sessions}}) : text, ctx));
  return kExitOk;
}

Result<int> run_command(const SessionKillCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_run(command.ids, command.json, app, ctx, [&](const std::string& id) -> Result<> {
    TRY(app.client.remove("/v1/sessions/" + id + (command.force ? "?force=true" : ""), ctx));
    return wait_ended(app, id, ctx);
  });
}

}  // namespace tare::cli
