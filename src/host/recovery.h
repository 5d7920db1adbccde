// What a start does before anything else: reads what an earlier tared left unfinished, and removes
// what it left half done on the disk. Blocks; runs before the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "host/image_record.h"
#include "model/session_runner.h"
#include "runs/blobs.h"
#include "runs/store.h"

namespace tare::host {

// What the events of a run tell about its launch.
struct Launch {
  std::string launcher;  // that was to be told; "" for a run that is still queued
  bool kill_requested = false;
  std::string kill_why = {};
  std::map<std::string, std::uint64_t> denied = {};  // calls that are in its events
  std::uint64_t at_ms = 0;  // when the launcher was to be told, the last time
};
using Launches = std::map<std::string, Launch, std::less<>>;  // by run id

struct Leftovers {
  runs::UnfinishedRuns unfinished;
  Launches launches;
  Builds builds;
  std::map<std::string, model::SessionRunner, std::less<>> runners;  // by run id
};

// Pure. `events` of one run, in order.
Launch launch_of(const std::vector<model::RunEvent>& events);

// `runs_dir` is $TARE_HOME/runs; `now_ms` wall time.
Result<Leftovers> find_leftovers(runs::Store& store, const runs::Blobs& blobs, int runs_dir,
                                 std::uint64_t now_ms, const Logger& log);

}  // namespace tare::host
