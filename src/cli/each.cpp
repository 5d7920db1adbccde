#include "cli/each.h"

#include <fmt/core.h>

#include "cli/exit_status.h"
#include "cli/render.h"

namespace tare::cli {

Result<int> for_each_name(const std::vector<std::string>& names, bool json, App& app,
                          const fiber::Context& ctx,
                          const std::function<Result<std::string>(const std::string&)>& act) {
  int status = kExitOk;
  JsonArray finished, failed;
  for (const std::string& name : names) {
    auto done = act(name);
    if (done) {
      if (!json) TRY(app.print(printable(*done) + "\n", ctx));
      finished.emplace_back(*done);
      continue;
    }
    const Error& error = done.error();
    if (no_daemon(error)) return error;
    const std::string text = error_text(error);
    const bool named = text.find(name) != std::string::npos;
    app.note(named ? text : fmt::format("{}: {}", name, text), ctx);
    failed.push_back(
        JsonObject{{"name", name}, {"code", to_string(error.code)}, {"message", error.message}});
    if (status == kExitOk) status = exit_status_of(error.code);
  }
  if (json) {
    TRY(app.print(
        pretty_text(JsonObject{{"done", std::move(finished)}, {"failed", std::move(failed)}}),
        ctx));
  }
  return status;
}

Result<int> for_each_run(const std::vector<std::string>& ids, bool json, App& app,
                         const fiber::Context& ctx,
                         const std::function<Result<>(const std::string& id)>& act) {
  return for_each_name(ids, json, app, ctx, [&](const std::string& text) -> Result<std::string> {
    std::string id = TRY(resolve_run(app, text, ctx));
    TRY(act(id));
    return id;
  });
}

}  // namespace tare::cli
