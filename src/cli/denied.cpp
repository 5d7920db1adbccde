#include "cli/denied.h"

#include <map>

#include <fmt/core.h>

#include "cli/render.h"

namespace tare::cli {

std::string denied_line(const Json& events) {
  std::map<std::string, std::uint64_t> counts;  // the last event of a call has all of it
  for (const Json& event : array_at(events, "events")) {
    if (text_at(event, {"type"}) != "denied") continue;
    counts[printable(text_at(event, {"call"}), 60)] = number_at(event, {"count"});
  }
  std::string line;
  for (const auto& [call, count] : counts) {
    line += line.empty() ? "denied: " : ", ";
    line += count == 1 ? call : fmt::format("{} ({} times)", call, count);
  }
  return line;
}

void note_denied(App& app, const model::Run& run, const fiber::Context& ctx) {
  if (run.usage.denied_calls == 0) return;
  const auto events = app.client.get(run_path(run.id, "/events"), ctx);
  const std::string line = events ? denied_line(events->body) : events.error().message;
  if (!line.empty()) app.note(line, ctx);
}

}  // namespace tare::cli
