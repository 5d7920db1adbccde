// tare canary add, list, rm. A value is never in argv, where every user of the host could read it.
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

Result<int> run_command(const CanaryAddCommand& command, App& app, const fiber::Context& ctx) {
  const std::string value = TRY(read_secret_value(kCanary, command.name, command.file, app, ctx));
  const auto answer = TRY(app.client.post(
      "/v1/canaries", JsonObject{{"name", command.name}, {"value_base64", base64_encode(value)}},
      ctx));
  TRY(app.print(command.json ? pretty_text(answer.body) : printable(command.name) + "\n", ctx));
  return kExitOk;
}

Result<int> run_command(const CanaryListCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/canaries", ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"NAME", "BYTES", "CREATED"});
  for (const Json& one : array_at(answer.body, "canaries")) {
    table.add({printable(text_at(one, {"name"})), std::to_string(number_at(one, {"bytes"})),
               format_utc(number_at(one, {"created_ms"}))});
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const CanaryRemoveCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_name(command.names, command.json, app, ctx,
                       [&](const std::string& name) -> Result<std::string> {
                         TRY(app.client.remove("/v1/canaries/" + http::percent_encode(name), ctx));
                         return name;
                       });
}

}  // namespace tare::cli
