// tare secret set, rotate, list, rm. A value is never in argv, where every user of the host could
// read it.
#include "base/base64.h"
#include "base/text.h"
#include "base/time_text.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "cli/secret_input.h"
#include "http/url.h"

namespace tare::cli {

namespace {

std::string path_of(const std::string& name) { return "/v1/secrets/" + http::percent_encode(name); }

Result<int> print_stored(const Json& secret, bool json, App& app, const fiber::Context& ctx) {
  const std::string line = fmt::format("{} version {}\n", printable(text_at(secret, {"name"})),
                                       number_at(secret, {"version"}));
  TRY(app.print(json ? pretty_text(secret) : line, ctx));
  const Json* searched = secret.is_object() ? secret.get_object().if_contains("searched") : nullptr;
  if (searched != nullptr && *searched == Json(false)) {
    app.note(
        "it is kept, but what is frozen is not searched for it: it is shorter than 16 bytes, "
        "or has fewer than 6 different ones, and would be found where it is not",
        ctx);
  }
  return kExitOk;
}

}  // namespace

Result<int> run_command(const SecretSetCommand& command, App& app, const fiber::Context& ctx) {
  const std::string value = TRY(
      read_secret_value(kVaultSecret, command.name, command.file, app, ctx));
  const auto answer = TRY(app.client.post(
      "/v1/secrets", JsonObject{{"name", command.name}, {"value_base64", base64_encode(value)}},
      ctx));
  return print_stored(answer.body, command.json, app, ctx);
}

Result<int> run_command(const SecretRotateCommand& command, App& app, const fiber::Context& ctx) {
  const std::string value = TRY(
      read_secret_value(kVaultSecret, command.name, command.file, app, ctx));
  const auto answer = TRY(app.client.put_json(
      path_of(command.name), JsonObject{{"value_base64", base64_encode(value)}}, ctx));
  return print_stored(answer.body, command.json, app, ctx);
}

Result<int> run_command(const SecretListCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/secrets", ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"NAME", "VERSION", "CREATED", "ROTATED"});
  for (const Json& one : array_at(answer.body, "secrets")) {
    const bool damaged = number_at(one, {"version"}) == 0;
    table.add({printable(text_at(one, {"name"})),
               damaged ? "damaged" : std::to_string(number_at(one, {"version"})),
               damaged ? "-" : format_utc(number_at(one, {"created_ms"})),
               damaged ? "-" : format_utc(number_at(one, {"rotated_ms"}))});
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const SecretRemoveCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_name(command.names, command.json, app, ctx,
                       [&](const std::string& name) -> Result<std::string> {
                         TRY(app.client.remove(path_of(name), ctx));
                         return name;
                       });
}

}  // namespace tare::cli
