// One layer of an image, unpacked: a tar stream with OCI whiteouts becomes a tree with ours, which
// hides and adds the same to the layers below it (docs/store_format.md, "From an image").
//
//   a/.wh.b          hides b of the layers below; of this layer's own b only what is below a folder
//   a/.wh..wh..opq   hides all that the layers below have in a
//
// A folder that the layer does not list is as the layers below show it. Refused (Errc::invalid): a
// way through a symlink or file of a layer below, for entries and for whiteouts; a stream whose
// SHA-256 is not `diff_id`. Hostile: runs in the unpacker. Threads: one. Source: OCI image-spec,
// layer.md.
#pragma once

#include <string>

#include "base/result.h"
#include "snapshot/freeze.h"
#include "snapshot/image/media_types.h"
#include "snapshot/tar_import.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

struct AppliedLayer {
  TarCounts dropped;
  bool empty = false;                     // the archive had no entry
  std::uint64_t entries = 0, length = 0;  // of its files, holes included
  std::uint64_t stream_bytes = 0;
};

struct LayerBlob {
  int fd = -1;
  Compression compression = Compression::any;
  std::string diff_id;
  std::uint64_t max_stream_bytes = 0;  // unpacked
};

// Below `root`, which is empty. `lower`: the layers below.
Result<AppliedLayer> apply_layer(const LayerBlob& blob, int root, const LowerView& lower,
                                 const TreeLimits& limits, const OnProgress& progress);

}  // namespace tare::snapshot
