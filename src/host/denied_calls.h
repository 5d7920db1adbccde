// Refused system calls of a run as events: each call once when it is first refused, and once more
// at the end if there were more. So a run has at most two for each call that is told
// (kMaxDeniedCalls), whatever it does.
//
// Loop thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "host/live_run.h"
#include "host/run_deps.h"

namespace tare::host {

enum class Told : std::uint8_t { when_new, at_the_end };

// What is to be recorded now, by name; it counts as recorded from here on.
std::vector<model::RunEvent> denied_events(LiveRun& live, std::uint64_t at_ms, Told when);

// How many refusals in all, as far as the launcher has told.
std::uint64_t total_denied(const LiveRun& live);

// Queues the new ones; not waited for. After `started`.
void tell_denied(LiveRun& live, const RunDeps& deps);

}  // namespace tare::host
