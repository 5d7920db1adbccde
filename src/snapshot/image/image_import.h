// An archive of any kind becomes trees of layers in a staging folder:
//
//   stage/0/root        the archive itself, unpacked like any tar stream; of a plain one: the layer
//   stage/<n>/root      layer n of the image in it, lowest is 1; above them its WorkingDir, when
//                       none of them has it
//
// An archive that has oci-layout and index.json at its top is an OCI layout, one with manifest.json
// an image as `docker save` writes it; ImageFormat says when to look. Hostile: runs in the unpacker
// (unpacker.h). What it costs is bounded by the limits, whatever the archive says. Errors:
// Errc::invalid or exhausted naming the fault. Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/image_config.h"
#include "snapshot/image/choose.h"
#include "snapshot/tar_import.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

enum class ImageFormat : std::uint8_t {
  any,   // an image when it looks like one, else a plain tree
  tree,  // a plain tree, whatever is in it
  image  // an image, or it is refused
};

struct UnpackedImage {
  ImageKind kind = ImageKind::tree;
  std::vector<std::string> stages;  // of the layers, lowest first: folders of the staging folder
  model::ImageConfig config;
  TarCounts dropped;
};

// The folder of the archive itself.
inline constexpr std::string_view kArchiveStage = "0";

// Of the archive itself: its files are layers, as long as all that is in them.
TreeLimits archive_limits(const TreeLimits& limits, ImageFormat format);

// `stage` is empty. `limits` are for all layers together; so is a bound on what their streams have,
// however often one of them is named.
Result<UnpackedImage> import_image(int archive, int stage, ImageFormat format,
                                   const ImageWish& wish, const TreeLimits& limits,
                                   const OnProgress& progress);

}  // namespace tare::snapshot
