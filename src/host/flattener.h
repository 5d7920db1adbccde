// Makes flat layers for environments with many, in the background: at the start, and whenever a
// chain has grown. What is mounted for an environment then is its lowest layer, the flat one, and
// what has come since. Runs that go on keep what they have.
//
// Owner: main, on a fiber of its own until ctx ends. Loop thread only. Errors are logged, and tried
// again when something has grown, or after kFlattenInterval. What never happens: an environment's
// digest or layers change; a sweep while a flat layer is not on record.
#pragma once

#include <chrono>

#include "host/flat_chains.h"
#include "host/run_deps.h"

namespace tare::host {

inline constexpr std::chrono::minutes kFlattenInterval{10};

// From the records, before anything is launched.
Result<> learn_flat_layers(const RunDeps& deps);
void keep_flat(const RunDeps& deps, const fiber::Context& ctx);

}  // namespace tare::host
