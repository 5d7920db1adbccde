// Reads from the upper of a sandbox's overlay what only the host's root may: which of its folders
// hide all that lower layers have in them (trusted.overlay.opaque; user.overlay.opaque where the
// launcher is not the host's root). For a freeze (snapshot/freeze.h), which has no such right.
//
// The sandbox stands still, and is hostile all the same: folders are opened beneath the upper
// without following a symlink or entering another file system, and nothing else is opened. Errors:
// Errc::exhausted beyond kMaxUpperDepth, kMaxOpaqueBytes of paths or kMaxUpperEntries; what the
// kernel says. Sources: Documentation/filesystems/overlayfs.rst. Threads: one.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace tare::sandbox {

inline constexpr std::size_t kMaxOpaqueBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxUpperEntries = 4'000'000;
inline constexpr std::size_t kMaxUpperDepth = 256;

// Their paths, each with a NUL behind it; "." is the upper itself.
Result<std::string> opaque_folders(int upper);

}  // namespace tare::sandbox
