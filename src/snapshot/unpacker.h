// The process that parses an archive: forked by a job, confined, ends after one archive. The job's
// side of it is unpack(). Its messages are Replies: Progress, then Imported (only `dropped` set) or
// Failed.
//
// Owner: the job. Errors: what the unpacker said; unavailable naming the signal when it crashed or
// ran into its limits; timeout. Threads: single-threaded (it forks).
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/result.h"
#include "snapshot/tar_import.h"
#include "sys/fd.h"

namespace tare::snapshot {

struct UnpackContext {
  const Clock& clock;
  std::uint64_t deadline_us = 0;  // in the clock's monotonic time
  int lock = -1;                  // the store's lock, held until the last process is gone; -1: none
};

// Unpacks `archive` into the folder `root`. Of our descriptors the unpacker keeps these two, the
// lock, and stderr.
Result<TarCounts> unpack(sys::UniqueFd archive, sys::UniqueFd root, const TreeLimits& limits,
                         const OnProgress& progress, const UnpackContext& context);

}  // namespace tare::snapshot
