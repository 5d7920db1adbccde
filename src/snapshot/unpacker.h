// The process that parses an archive: forked by a job, confined, ends after one archive. The job's
// side of it is unpack() and unpack_image(). Its messages are Replies: Progress, each of which it
// waits to be let go on after, then Imported or
// ImageImported (without layers: they are what lies in the folder) or Failed.
//
// Owner: the job. Errors: what the unpacker said; unavailable naming the signal when it crashed or
// ran into its limits; timeout. Threads: single-threaded (it forks).
#pragma once

#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "snapshot/import_budget.h"
#include "snapshot/protocol.h"
#include "snapshot/tar_import.h"
#include "sys/fd.h"

namespace tare::snapshot {

struct UnpackContext {
  const Clock& clock;
  std::uint64_t deadline_us = 0;  // in the clock's monotonic time
  int lock = -1;                  // the store's lock, held until the last process is gone; -1: none
  ImportBudget* budget = nullptr;  // what the unpacker must not reach
};

// The unpacker's walls, which it puts up around itself before it reads a byte of the archive: of
// its descriptors only `kept`; its limits; the store's capabilities and none to gain; and, where
// the kernel has Landlock, no change of any file but below `root`. For good. Single-threaded.
Result<> confine(int root, std::uint64_t max_file_bytes, std::span<const int> kept);

// Unpacks `archive` into the folder `root`. Of our descriptors the unpacker keeps these two, the
// lock, and stderr.
Result<TarCounts> unpack(sys::UniqueFd archive, sys::UniqueFd root, const TreeLimits& limits,
                         const OnProgress& progress, const UnpackContext& context);
// What of an unpacker's answer counts, should an archive have taken it over: not its layers. Those
// are what lies in the folder.
ImageImported believed(ImageImported said);
// The same for an archive that may be an image (image/image_import.h says what lies in `stage`
// then). The answer has no layers.
Result<ImageImported> unpack_image(sys::UniqueFd archive, sys::UniqueFd stage,
                                   const ImportImage& request, const OnProgress& progress,
                                   const UnpackContext& context);

}  // namespace tare::snapshot
