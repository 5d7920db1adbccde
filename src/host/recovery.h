// What a start does before anything else: reads what an earlier tared left unfinished, and removes
// what it left half done on the disk. Blocks; runs before the loop.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "host/image_record.h"
#include "runs/blobs.h"
#include "runs/store.h"

namespace tare::host {

struct Leftovers {
  runs::UnfinishedRuns unfinished;
  Builds builds;
};

// `runs_dir` is $TARE_HOME/runs; `now_ms` wall time.
Result<Leftovers> find_leftovers(runs::Store& store, const runs::Blobs& blobs, int runs_dir,
                                 std::uint64_t now_ms, const Logger& log);

}  // namespace tare::host
