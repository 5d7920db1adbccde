// tare env build, list, show, tag, rm, gc.
#include <cerrno>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/time_text.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/foreground.h"
#include "cli/render.h"
#include "cli/run_output.h"
#include "cli/run_request.h"
#include "http/url.h"

namespace tare::cli {
namespace {

std::string environment_path(std::string_view ref) {
  return "/v1/environments/" + http::percent_encode(ref);
}

// "sha256:0123456789ab".
std::string short_digest(const std::string& digest) {
  return digest.empty() ? "-" : printable(digest.substr(0, 19));
}

std::string built_line(const Json& environment) {
  return fmt::format("{} is ready: {}, {}, {} files\n", printable(text_at(environment, {"name"})),
                     printable(text_at(environment, {"digest"})),
                     format_size_rounded(number_at(environment, {"size_bytes"})),
                     number_at(environment, {"files"}));
}

Result<int> print_built(bool json, App& app, const Json& environment, const fiber::Context& ctx) {
  TRY(app.print(json ? pretty_text(environment) : built_line(environment), ctx));
  return kExitOk;
}

Result<int> build(const JsonObject& body, bool json, App& app, const fiber::Context& ctx) {
  Foreground foreground(app, TRY(Foreground::block_signals()), ctx);
  const auto answer = TRY(app.client.post("/v1/environments", body, ctx));
  if (answer.status != 202) return print_built(json, app, answer.body, ctx);

  ProgressSink sink(app);
  auto run = foreground.attend(text_at(answer.body, {"build", "id"}), false, false, sink);
  if (!run && run.error().sys == EPIPE) return kExitBrokenPipe;
  if (foreground.interrupted() != 0) return 128 + foreground.interrupted();
  if (!run) return std::move(run).error();
  if (run->state != model::RunState::succeeded) {
    app.note(fmt::format("{}: {}", run->id, printable(run->outcome->message, 600)), ctx);
    return model::exit_status_of(*run->outcome);
  }
  const auto built = TRY(app.client.get(environment_path(text_at(answer.body, {"ref"})), ctx));
  return print_built(json, app, built.body, ctx);
}

}  // namespace

Result<int> run_command(const EnvBuildCommand& command, App& app, const fiber::Context& ctx) {
  JsonObject body{{"source", command.source}};
  if (!command.name.empty()) body["name"] = command.name;
  if (command.rebuild) body["rebuild"] = true;
  return build(body, command.json, app, ctx);
}

Result<int> run_command(const EnvBuildFromCommand& command, App& app, const fiber::Context& ctx) {
  JsonArray argv, env;
  for (const std::string& argument : command.argv) argv.emplace_back(argument);
  for (const std::string& variable : command.env) env.emplace_back(variable);
  JsonObject body{{"from", command.from},
                  {"name", command.name},
                  {"argv", std::move(argv)},
                  {"limits", limits_json(command.limits)}};
  if (!env.empty()) body["env"] = std::move(env);
  if (command.network) body["network"] = true;
  if (command.rebuild) body["rebuild"] = true;
  return build(body, command.json, app, ctx);
}

Result<int> run_command(const EnvForkCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.post(environment_path(command.ref) + "/fork",
                                          JsonObject{{"name", command.name}}, ctx));
  return print_built(command.json, app, answer.body, ctx);
}

Result<int> run_command(const EnvListCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/environments", ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"NAME", "STATE", "SIZE", "DIGEST", "SOURCE"});
  for (const Json& environment : array_at(answer.body, "environments")) {
    const auto size = number_at(environment, {"size_bytes"});
    table.add(
        {printable(text_at(environment, {"name"}), 40), printable(text_at(environment, {"state"})),
         size > 0 ? format_size_rounded(size) : "-", short_digest(text_at(environment, {"digest"})),
         printable(text_at(environment, {"source"}), 60)});
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const EnvFreezeCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(
      app.client.post("/v1/sessions/" + http::percent_encode(command.session) + "/freeze",
                      JsonObject{{"name", command.name}}, ctx));
  return print_built(command.json, app, answer.body, ctx);
}

Result<int> run_command(const EnvShowCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get(environment_path(command.ref), ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  const Json& environment = answer.body;
  const std::string digest = text_at(environment, {"digest"});
  Table table({"name", printable(text_at(environment, {"name"}))});
  table.add({"source", printable(text_at(environment, {"source"}))});
  table.add({"state", printable(text_at(environment, {"state"}))});
  table.add({"digest", digest.empty() ? "- (not reproducible)" : printable(digest)});
  if (const auto size = number_at(environment, {"size_bytes"}); size > 0) {
    table.add({"size", format_size_rounded(size)});
    table.add({"files", std::to_string(number_at(environment, {"files"}))});
  }
  const auto created = number_at(environment, {"created_ms"});
  table.add({"created", created > 0 ? format_utc(created) : "-"});
  for (const Json& layer : array_at(environment, "layers")) {
    table.add({"layer", printable(layer.is_string() ? std::string(layer.get_string()) : "")});
  }
  if (const auto build = text_at(environment, {"build"}); !build.empty())
    table.add({"build", printable(build)});
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const EnvTagCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.post(environment_path(command.ref) + "/tag",
                                          JsonObject{{"name", command.name}}, ctx));
  const std::string digest = text_at(answer.body, {"digest"});
  TRY(app.print(command.json
                    ? pretty_text(answer.body)
                    : fmt::format("{} is {}\n", printable(command.name), printable(digest)),
                ctx));
  return kExitOk;
}

Result<int> run_command(const EnvRemoveCommand& command, App& app, const fiber::Context& ctx) {
  int status = kExitOk;
  for (const std::string& name : command.names) {
    auto removed = app.client.remove(environment_path(name), ctx);
    if (removed) {
      TRY(app.print(printable(name) + "\n", ctx));
      continue;
    }
    app.note(removed.error().message, ctx);
    if (status == kExitOk) status = exit_status_of(removed.error().code);
  }
  return status;
}

Result<int> run_command(const EnvGcCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.post_and_wait(
      std::string("/v1/layers/gc") + (command.dry_run ? "?dry_run=true" : ""), ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  std::string text;
  const JsonArray& removed = array_at(answer.body, "removed");
  for (const Json& layer : removed) {
    text += fmt::format("{}  {} files, {}\n", printable(text_at(layer, {"digest"})),
                        number_at(layer, {"entries"}),
                        format_size_rounded(number_at(layer, {"bytes"})));
  }
  text += fmt::format("{}: {} layers, {}; {} stay\n", command.dry_run ? "would free" : "freed",
                      removed.size(), format_size_rounded(number_at(answer.body, {"bytes"})),
                      number_at(answer.body, {"kept"}));
  TRY(app.print(text, ctx));
  return kExitOk;
}

}  // namespace tare::cli
