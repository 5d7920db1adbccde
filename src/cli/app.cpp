#include "cli/app.h"

#include <vector>

#include <fmt/core.h>

#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "http/url.h"

namespace tare::cli {

void App::note(std::string_view message, const fiber::Context& ctx) {
  std::string text = "tare: ";
  // Lines stay lines; everything else that a terminal would obey does not.
  for (const std::string_view line : split(message, '\n'))
    text += printable(line, kMaxMessageBytes) + "\n";
  static_cast<void>(err.write(text, ctx));
}

std::string run_path(std::string_view id, std::string_view rest) {
  return fmt::format("/v1/runs/{}{}", http::percent_encode(id), rest);
}

Result<std::string> resolve_run(App& app, const std::string& text, const fiber::Context& ctx) {
  if (is_run_id(text)) return text;
  if (text.empty()) return Error{Errc::invalid, "the run id is empty"};
  const auto page = TRY(app.client.get(fmt::format("/v1/runs?limit={}", kMaxListedRuns), ctx));
  std::vector<std::string> found;
  for (const Json& run : array_at(page.body, "runs")) {
    const std::string id = text_at(run, {"id"});
    const std::string_view tail = std::string_view(id).substr(
        std::min(id.size(), kRunIdPrefix.size()));
    if (id.starts_with(text) || tail.starts_with(text) || id.ends_with(text)) found.push_back(id);
  }
  if (found.empty()) {
    return Error{
        Errc::not_found,
        fmt::format("no run's id starts or ends with {} (of the newest {}): `tare ps -a` and "
                    "`tare session list -a` show them",
                    quote(text), kMaxListedRuns)};
  }
  if (found.size() > 1) {
    return Error{Errc::conflict,
                 fmt::format("{} runs match {}, such as {} and {}: type more of the id",
                             found.size(), quote(text), found[0], found[1])};
  }
  return found.front();
}

Result<> wait_ended(App& app, const std::string& id, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get(run_path(id, "/wait?timeout_ms=30000"), ctx));
  const Json* ended_ms = answer.body.is_object() ? answer.body.as_object().if_contains("ended_ms")
                                                 : nullptr;
  if (ended_ms == nullptr) app.note(id + " is still ending", ctx);
  return ok();
}

}  // namespace tare::cli
