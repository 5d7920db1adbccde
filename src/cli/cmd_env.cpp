// tare env build, list, show, tag, rm, gc.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/text.h"
#include "base/time_text.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/environment_text.h"
#include "cli/exit_status.h"
#include "cli/foreground.h"
#include "cli/render.h"
#include "cli/run_output.h"
#include "cli/run_request.h"
#include "http/url.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

std::string environment_path(std::string_view ref) {
  return "/v1/environments/" + http::percent_encode(ref);
}

// "sha256:0123456789ab".
std::string short_digest(const std::string& digest) {
  return digest.empty() ? "-" : printable(digest.substr(0, 19));
}

Result<int> print_built(bool json, App& app, const Json& environment, const fiber::Context& ctx) {
  TRY(app.print(json ? pretty_text(environment) : built_line(environment), ctx));
  return kExitOk;
}

std::pair<std::string, std::string> split_at_last(const std::string& text, char c) {
  const std::size_t at = text.rfind(c);
  if (at == std::string::npos) return {text, ""};
  return {text.substr(0, at), text.substr(at + 1)};
}

constexpr std::size_t kMaxSmallFileBytes = std::size_t{256} << 10;

Result<std::string> read_small_file(const std::string& path) {
  const auto file = TRY(sys::open_at(sys::kCwd, path, O_RDONLY | O_CLOEXEC).context(quote(path)));
  return sys::read_all(file.get(), kMaxSmallFileBytes).context(quote(path));
}

// One line, from stdin or from a file that nobody else may read.
Result<std::string> read_credentials(const std::string& path) {
  std::string text;
  if (path == "-") {
    text = TRY(sys::read_all(STDIN_FILENO, kMaxSmallFileBytes));
  } else {
    const auto file = TRY(sys::open_at(sys::kCwd, path, O_RDONLY | O_CLOEXEC).context(quote(path)));
    if ((TRY(sys::stat_fd(file.get())).st_mode & 077) != 0)
      return Error{Errc::denied, quote(path) + " may be read by others: chmod 600 it"};
    text = TRY(sys::read_all(file.get(), kMaxSmallFileBytes));
  }
  return text.substr(0, text.find('\n'));
}

// Words as a person would type them, more or less.
std::string words_at(const Json& config, std::string_view key) {
  std::string out;
  for (const Json& word : array_at(config, key)) {
    if (!out.empty()) out += ' ';
    out += printable(word.is_string() ? std::string(word.get_string()) : "", 200);
  }
  return out;
}

void add_config(const Json& environment, Table& table) {
  if (!environment.is_object() || !environment.get_object().contains("config")) return;
  const Json& config = environment.get_object().at("config");
  for (const char* key : {"entrypoint", "cmd"}) {
    if (const std::string words = words_at(config, key); !words.empty()) table.add({key, words});
  }
  for (const Json& variable : array_at(config, "env"))
    table.add({"env", printable(variable.is_string() ? std::string(variable.get_string()) : "")});
  for (const char* key : {"user", "workdir"}) {
    if (const auto text = text_at(config, {key}); !text.empty()) table.add({key, printable(text)});
  }
}

// A run that makes or moves an environment, watched to its end: its exit status, told if it failed.
Result<int> attend_build(Foreground& foreground, const std::string& id, OutputSink& sink, App& app,
                         const fiber::Context& ctx) {
  auto run = foreground.attend(id, false, false, sink);
  if (!run && run.error().sys == EPIPE) return kExitBrokenPipe;
  if (foreground.interrupted() != 0) return 128 + foreground.interrupted();
  if (!run) return std::move(run).error();
  if (run->state == model::RunState::succeeded) return kExitOk;
  app.note(fmt::format("{}: {}", run->id, printable(run->outcome->message, 600)), ctx);
  return model::exit_status_of(*run->outcome);
}

// What a registry is asked with. The credentials go with the request alone.
Result<JsonObject> registry_body(const RegistryOptions& options) {
  JsonObject body{{"image", options.image}};
  if (options.insecure_http) body["insecure_http"] = true;
  if (!options.authority.empty()) body["authority"] = TRY(read_small_file(options.authority));
  if (options.credentials.empty()) return body;
  const std::string text = TRY(read_credentials(options.credentials));
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0)
    return Error{Errc::invalid, "--credentials: USER:PASSWORD on one line is expected"};
  body["user"] = text.substr(0, colon);
  body["password"] = text.substr(colon + 1);
  return body;
}

Result<int> build(const JsonObject& body, bool json, App& app, const fiber::Context& ctx) {
  Foreground foreground(app, TRY(Foreground::block_signals()), ctx);
  const auto answer = TRY(app.client.post("/v1/environments", body, ctx));
  if (answer.status != 202) return print_built(json, app, answer.body, ctx);

  ProgressSink sink(app);
  const int status = TRY(
      attend_build(foreground, text_at(answer.body, {"build", "id"}), sink, app, ctx));
  if (status != kExitOk) return status;
  const auto built = TRY(app.client.get(environment_path(text_at(answer.body, {"ref"})), ctx));
  return print_built(json, app, built.body, ctx);
}

}  // namespace

Result<int> run_command(const EnvPullCommand& command, App& app, const fiber::Context& ctx) {
  Foreground foreground(app, TRY(Foreground::block_signals()), ctx);
  JsonObject body = TRY(registry_body(command.from));
  body["name"] = command.name;
  if (!command.platform.empty()) body["platform"] = command.platform;
  const auto answer = TRY(app.client.post("/v1/images/pull", body, ctx));
  TransferSink sink(app);
  const int status = TRY(
      attend_build(foreground, text_at(answer.body, {"build", "id"}), sink, app, ctx));
  if (status != kExitOk) return status;
  const auto built = TRY(app.client.get(environment_path(command.name), ctx));
  return print_built(command.json, app, built.body, ctx);
}

Result<int> run_command(const EnvPushCommand& command, App& app, const fiber::Context& ctx) {
  Foreground foreground(app, TRY(Foreground::block_signals()), ctx);
  const JsonObject body = TRY(registry_body(command.to));
  const auto answer = TRY(
      app.client.post_and_wait(environment_path(command.ref) + "/push", body, ctx));
  TransferSink sink(app);
  const std::string id = text_at(answer.body, {"push", "id"});
  const int status = TRY(attend_build(foreground, id, sink, app, ctx));
  if (status != kExitOk || !command.json) return status;
  // "registry/name:tag@sha256:..."
  const auto [image, digest] = split_at_last(sink.result(), '@');
  TRY(app.print(
      pretty_text(JsonObject{
          {"environment", command.ref}, {"image", image}, {"digest", digest}, {"run", id}}),
      ctx));
  return kExitOk;
}

std::string built_line(const Json& environment) {
  return fmt::format("{} is ready: {}, {}, {} files\n", printable(text_at(environment, {"name"})),
                     printable(text_at(environment, {"digest"})),
                     format_size_rounded(number_at(environment, {"size_bytes"})),
                     number_at(environment, {"files"}));
}

Result<int> run_command(const EnvBuildCommand& command, App& app, const fiber::Context& ctx) {
  JsonObject body{{"source", command.source}};
  if (!command.name.empty()) body["name"] = command.name;
  if (command.rebuild) body["rebuild"] = true;
  return build(body, command.json, app, ctx);
}

Result<int> run_command(const EnvBuildFromCommand& command, App& app, const fiber::Context& ctx) {
  JsonObject body{{"from", command.from},
                  {"name", command.name},
                  {"argv", text_list(command.argv)},
                  {"limits", limits_json(command.limits)}};
  if (!command.env.empty()) body["env"] = text_list(command.env);
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
      app.client.post_and_wait("/v1/sessions/" + http::percent_encode(command.session) + "/freeze",
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
  const bool ready = text_at(environment, {"state"}) == "ready";
  table.add({"digest", !digest.empty() ? printable(digest) : ready ? "- (not reproducible)" : "-"});
  if (const auto size = number_at(environment, {"size_bytes"}); size > 0) {
    table.add({"size", format_size_rounded(size)});
    table.add({"files", std::to_string(number_at(environment, {"files"}))});
  }
  const auto created = number_at(environment, {"created_ms"});
  table.add({"created", created > 0 ? format_utc(created) : "-"});
  for (const Json& layer : array_at(environment, "layers")) {
    table.add({"layer", printable(layer.is_string() ? std::string(layer.get_string()) : "")});
  }
  add_config(environment, table);
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
  return for_each_name(command.names, command.json, app, ctx,
                       [&](const std::string& name) -> Result<std::string> {
                         TRY(app.client.remove(environment_path(name), ctx));
                         return name;
                       });
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
