// Makes a finished tree durable: what is in it survives a power cut once sync_tree has returned.
//
// A small tree is synced file by file, many at once (sys/sync_many.h), since syncfs would also wait
// for everything that others have written to the same file system (seconds, next to a large build).
// For a large one that is still the cheaper way. Errors: what fsync(2) or syncfs(2) report, writes
// that failed earlier included. Threads: some of its own while it runs.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/result.h"

namespace tare::snapshot {

inline constexpr std::uint64_t kSyncedOneByOne = 256;  // entries; as many descriptors

// Paths below the folder: of files whose content is durable already.
using DurableFiles = std::set<std::string, std::less<>>;

// `folder` and all below it; `entries` says how large it is (the kind of sync follows from it).
Result<> sync_tree(int folder, std::uint64_t entries, const DurableFiles& durable = {});

}  // namespace tare::snapshot
