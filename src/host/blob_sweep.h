// Removes uploads that no run uses and that nobody has asked for in kUnusedBlobMs: at start, and
// then again and again. A run that has ended keeps its inputs by links of its own, and an agent
// keeps its files as a layer; so only the inputs of runs that have not ended have to be named.
//
// Owner: main, on a fiber of its own; the file system is read on Offload's threads. An error is
// logged, and the next turn tries again.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/context.h"
#include "fiber/offload.h"
#include "runs/blobs.h"

namespace tare::host {

inline constexpr std::uint64_t kUnusedBlobMs = 60 * 60 * 1000;

using Digests = std::set<std::string, std::less<>>;

struct BlobSweep {
  const runs::Blobs& blobs;
  std::function<Digests()> in_use;  // called on the loop
  fiber::Offload& offload;
  const Clock& clock;
  const Logger& log;
  fiber::Duration interval;
};

// Until ctx ends.
void sweep_blobs(const BlobSweep& sweep, const fiber::Context& ctx);

}  // namespace tare::host
