// The JSON documents of images: OCI index, manifest and configuration, and Docker's manifest.json.
// Hostile text: every size, count and depth is bounded, every digest has its form, a document that
// could be read as two kinds is refused. Keys that we do not know are passed over, as the
// specification demands.
//
// Pure. Errors: Errc::invalid naming the place. Sources: OCI image-spec 1.1 (descriptor.md,
// image-index.md, manifest.md, config.md), Docker image manifest v2 schema 2, `docker save`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/image_config.h"
#include "snapshot/image/media_types.h"
#include "snapshot/image/platform.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxImageDocumentBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxImageLayers = 128;
inline constexpr std::size_t kMaxIndexEntries = 1024;
inline constexpr std::size_t kMaxReferenceBytes = 512;

struct Descriptor {
  MediaType type = {};
  std::string digest;  // "sha256:<64 hex>"
  std::uint64_t size = 0;
  std::optional<Platform> platform;
  std::string reference;  // of the annotation org.opencontainers.image.ref.name, or ""
};

struct ImageIndex {
  std::vector<Descriptor> entries;  // manifests and further indexes; others are left out
};
struct ImageManifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};
struct ImageDocument {
  Platform platform;
  model::ImageConfig config;  // its user's ids are not resolved
  std::vector<std::string> diff_ids;
};
// One image of a `docker save` archive; names of files in it.
struct SavedImage {
  std::string config;
  std::vector<std::string> tags, layers;
};

Result<ImageIndex> parse_image_index(std::string_view text);
Result<ImageManifest> parse_image_manifest(std::string_view text);
Result<ImageDocument> parse_image_document(std::string_view text);
Result<std::vector<SavedImage>> parse_saved_images(std::string_view text);
// The file `oci-layout`: that we know this version.
Result<> check_oci_layout(std::string_view text);

}  // namespace tare::snapshot
