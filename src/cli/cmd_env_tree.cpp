// tare env tree.
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/lineage.h"
#include "cli/render.h"

namespace tare::cli {

Result<int> run_command(const EnvTreeCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/environments", ctx));
  const auto roots = lineage(array_at(answer.body, "environments"));
  TRY(app.print(command.json ? pretty_text(JsonObject{{"environments", lineage_json(roots)}})
                             : lineage_text(roots),
                ctx));
  return kExitOk;
}

}  // namespace tare::cli
