// Making several files and folders durable at once. Each fsync waits for a commit of the file
// system's journal, 2 to 5 ms; those that wait together share one.
//
// Errors: the first that fsync(2) reports, writes that failed earlier included; all have been tried
// then. Threads: stateless; up to kSyncThreads of its own while it runs, none left behind.
#pragma once

#include <span>

#include "base/result.h"

namespace tare::sys {

inline constexpr std::size_t kSyncThreads = 8;

Result<> sync_fds(std::span<const int> fds);

// Has the kernel begin to write what the file has, and does not wait (sync_file_range(2)). A hint:
// whether it could is not told.
void start_writeback(int fd);

}  // namespace tare::sys
