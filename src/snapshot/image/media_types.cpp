#include "snapshot/image/media_types.h"

namespace tare::snapshot {

namespace {

struct Row {
  std::string_view text;
  MediaType type;
};

constexpr Row kTypes[] = {
    {kOciIndexType, {BlobKind::index}},
    {kOciManifestType, {BlobKind::manifest}},
    {kOciConfigType, {BlobKind::config}},
    {kOciLayerType, {BlobKind::layer, Compression::none}},
    {"application/vnd.oci.image.layer.v1.tar+gzip", {BlobKind::layer, Compression::gzip}},
    {"application/vnd.oci.image.layer.v1.tar+zstd", {BlobKind::layer, Compression::zstd}},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar",
     {BlobKind::layer, Compression::none}},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
     {BlobKind::layer, Compression::gzip}},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
     {BlobKind::layer, Compression::zstd}},
    {"application/vnd.docker.distribution.manifest.list.v2+json", {BlobKind::index}},
    {"application/vnd.docker.distribution.manifest.v2+json", {BlobKind::manifest}},
    {"application/vnd.docker.container.image.v1+json", {BlobKind::config}},
    {"application/vnd.docker.image.rootfs.diff.tar", {BlobKind::layer, Compression::none}},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", {BlobKind::layer, Compression::gzip}},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", {BlobKind::layer, Compression::zstd}},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
     {BlobKind::layer, Compression::gzip}},
};

}  // namespace

MediaType media_type_from(std::string_view text) {
  for (const Row& row : kTypes)
    if (row.text == text) return row.type;
  return {};
}

}  // namespace tare::snapshot
