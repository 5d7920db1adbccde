// The manifest of a tree on disk: one walk, every file's content read and hashed. The same code
// makes a new layer's manifest and verifies an old one, so what a digest covers cannot differ
// between the two.
//
// Refuses (Errc::invalid) what a layer cannot hold: devices but whiteouts, FIFOs, sockets, other
// file systems. Given secrets to look for, it refuses what has one (Errc::conflict), naming the
// file and the secret's name: contents, names, targets of symlinks and attributes. Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/manifest.h"
#include "snapshot/needles.h"
#include "sys/entries.h"

namespace tare::snapshot {

// Called now and then with what is done so far; an error from it ends the work.
using OnProgress = std::function<Result<>(std::uint64_t entries, std::uint64_t bytes)>;

// Extended attributes are part of a layer when their name starts so and they are not the overlay's
// own.
inline constexpr std::string_view kXattrPrefix = "user.";
inline constexpr std::string_view kOverlayXattrPrefix = "user.overlay.";
bool is_kept_xattr(std::string_view name);
Result<std::vector<sys::Xattr>> kept_xattrs(int fd);

// Files of the tree whose content is known: they are the same as in a layer that is there.
struct KnownContents {
  std::string layer = {};  // its digest
  bool searched = false;   // it has none of the secrets that are looked for
  std::map<std::string, Sha256Digest, std::less<>> files = {};  // by path
};

// What is in `known` is not read.
Result<ManifestSummary> write_manifest_of(int root, const ManifestWriter::Sink& sink,
                                          const OnProgress& progress,
                                          const NeedleCheck* secrets = nullptr,
                                          const KnownContents* known = nullptr);

}  // namespace tare::snapshot
