// Trees of layers as tar streams: one layer with OCI whiteouts, or what several layers show as one.
// The same tree gives the same bytes: entries in the manifest's order, times in whole seconds.
//
// Content is read from disk, names and metadata come from the manifest. Errors: Errc::invalid for
// what a tar of that kind cannot hold (a file whose name says that it is a whiteout);
// Errc::conflict when a file is not as the manifest says. Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/manifest.h"
#include "snapshot/tree_manifest.h"
#include "sys/fd.h"

namespace tare::snapshot {

using ByteSink = std::function<Result<>(std::span<const std::byte>)>;

// A layer of the store.
struct StoredLayer {
  std::string digest;
  sys::UniqueFd root;
  Manifest manifest;
};

Result<> write_layer_tar(const StoredLayer& layer, const ByteSink& sink,
                         const OnProgress& progress);
// `layers`: lowest first.
Result<> write_merged_tar(const std::vector<StoredLayer>& layers, const ByteSink& sink,
                          const OnProgress& progress);

}  // namespace tare::snapshot
