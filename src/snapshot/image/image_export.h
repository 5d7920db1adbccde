// An environment as an image archive: one OCI layer for each of ours, its configuration, and the
// documents that name them by digest. The same environment gives the same bytes: layers are not
// compressed, times are those of the files, nothing tells who exported it, when or where.
//
// Layers are read twice: for their digests, then to be written; the second must find what the first
// did. Errors: those of tar_out.h; Errc::conflict; what the kernel says of `out`. Threads: one.
// Sources: OCI image-spec 1.1 (image-layout.md, manifest.md, config.md); `docker save`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/image_config.h"
#include "snapshot/image/tar_out.h"

namespace tare::snapshot {

enum class ExportFormat : std::uint8_t {
  oci,     // a tar of an OCI layout, called oci-archive
  docker,  // as `docker save` writes it
  tree     // a plain tar of what the environment shows
};

struct ImageToExport {
  std::vector<StoredLayer> layers;  // lowest first
  model::ImageConfig config;
  std::string reference;  // its name in the archive; "": "latest", and none in Docker's
};
struct ExportedImage {
  std::uint64_t bytes = 0;
  std::string digest;  // of the image's manifest, its configuration (docker), or the archive (tree)
};

Result<ExportedImage> export_image(const ImageToExport& image, ExportFormat format, int out,
                                   const OnProgress& progress);

}  // namespace tare::snapshot
