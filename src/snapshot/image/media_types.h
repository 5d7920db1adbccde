// The media types of images, as one table. Pure. Sources: OCI image-spec media-types.md; Docker
// image manifest v2 schema 2.
#pragma once

#include <cstdint>
#include <string_view>

namespace tare::snapshot {

enum class BlobKind : std::uint8_t { unknown, index, manifest, config, layer };
enum class Compression : std::uint8_t {
  any,  // whatever it begins like
  none,
  gzip,
  zstd
};

struct MediaType {
  BlobKind kind = BlobKind::unknown;
  Compression compression = Compression::none;  // of layers
};
MediaType media_type_from(std::string_view text);

inline constexpr std::string_view kOciIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciConfigType = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayerType = "application/vnd.oci.image.layer.v1.tar";

}  // namespace tare::snapshot
