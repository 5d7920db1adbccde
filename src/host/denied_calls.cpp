#include "host/denied_calls.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace tare::host {

std::vector<model::RunEvent> denied_events(LiveRun& live, std::uint64_t at_ms, Told when) {
  std::vector<model::RunEvent> events;
  for (auto& [call, denied] : live.denied) {
    const bool fresh = denied.recorded == 0;
    const bool grown = when == Told::at_the_end && denied.count > denied.recorded;
    if (!fresh && !grown) continue;
    denied.recorded = denied.count;
    model::RunEvent event;
    event.at_ms = at_ms;
    event.type = model::RunEventType::denied;
    event.call = call;
    event.count = denied.count;
    event.message = denied.count == 1 ? call : fmt::format("{} ({} times)", call, denied.count);
    events.push_back(std::move(event));
  }
  return events;
}

std::uint64_t total_denied(const LiveRun& live) {
  std::uint64_t total = 0;
  for (const auto& [call, denied] : live.denied) total = std::min(total + denied.count, kMaxCount);
  return total;
}

void tell_denied(LiveRun& live, const RunDeps& deps) {
  for (model::RunEvent& event : denied_events(live, deps.clock.wall_ms(), Told::when_new)) {
    deps.records.queue_soon(
        [id = live.run.id, event = std::move(event)](runs::Store& store) {
          return store.append_event(kTenant, id, event);
        },
        [&log = deps.log, id = live.run.id](Result<runs::AppendedEvent> appended) {
          if (!appended)
            log.error("a refused call could not be recorded", appended.error(), {{"run", id}});
        });
  }
}

}  // namespace tare::host
