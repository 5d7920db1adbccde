// Reads from the upper of a sandbox's overlay what only the host's root may: which of its folders
// hide all that lower layers have in them (trusted.overlay.opaque; user.overlay.opaque where the
// launcher is not the host's root). For a freeze (snapshot/freeze.h), which has no such right. And
// whether anything but a sandbox's own folders has changed, for an exchange of its runner.
//
// The sandbox stands still, and is hostile all the same: folders are opened beneath the upper
// without following a symlink or entering another file system, and nothing else is opened. Errors:
// Errc::exhausted beyond kMaxUpperDepth, kMaxOpaqueBytes of paths or kMaxUpperEntries; what the
// kernel says. Sources: Documentation/filesystems/overlayfs.rst. Threads: one.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "base/result.h"

namespace tare::sandbox {

inline constexpr std::size_t kMaxOpaqueBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxUpperEntries = 4'000'000;
inline constexpr std::size_t kMaxUpperDepth = 256;

// Their paths, each with a NUL behind it; "." is the upper itself.
Result<std::string> opaque_folders(int upper);

// Does the upper, or a layer that was frozen of one, hold nothing but what lies in the folders that
// are the sandbox's own (/home/agent, /tmp, /var/tmp, /output, /run) and what the platform writes
// (/etc/hostname, ...)? Then all else in the sandbox is what it was made with: files, names, and
// who may reach them. `owner` is its root's id there. When in doubt: no. Cost: as many calls as
// there are folders on the way to those, whatever is in them.
bool changes_only_its_own(int upper, uid_t owner);

}  // namespace tare::sandbox
