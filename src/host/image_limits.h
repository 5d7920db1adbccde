// How large an environment may be that comes as an archive, built here or sent. Units: in the
// names.
#pragma once

#include <cstdint>

#include "snapshot/tree_writer.h"

namespace tare::host {

inline constexpr std::uint64_t kImportTimeoutMs = 60 * 60 * 1000;
inline constexpr std::uint64_t kExportTimeoutMs = 60 * 60 * 1000;
inline constexpr snapshot::TreeLimits kImportLimits = {.max_entries = 2'000'000,
                                                       .max_bytes = std::uint64_t{32} << 30,
                                                       .max_file_bytes = std::uint64_t{8} << 30};

}  // namespace tare::host
