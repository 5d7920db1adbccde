// The content of one file into a tree that is being written. Data only: what is a hole in the
// source stays one.
//
// The source may be hostile and change meanwhile: the copy ends at `size`, the length it had when
// it was opened, and what was cut off since reads as zeros. Errors: the writer's. Threads: one.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "snapshot/tree_manifest.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

Result<> copy_content(int from, TreeWriter& writer, TreeWriter::File& file, std::uint64_t size,
                      const OnProgress& progress);

}  // namespace tare::snapshot
