#include "snapshot/image/image_export.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/tar_header.h"
#include "snapshot/image/media_types.h"
#include "snapshot/image/platform.h"
#include "snapshot/tree_writer.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr std::string_view kCreated = "1980-01-01T00:00:00Z";  // kImplicitMtime
constexpr std::string_view kDefaultReference = "latest";

struct Blob {
  std::string digest;
  std::uint64_t size = 0;
};

Blob blob_of(std::string_view text) { return {sha256_text(text), text.size()}; }
std::string hex_of(const Blob& blob) { return blob.digest.substr(blob.digest.find(':') + 1); }

Result<Blob> measured(const StoredLayer& layer, const OnProgress& progress) {
  Sha256 hash;
  Blob blob;
  const ByteSink sink = [&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    blob.size += bytes.size();
    return ok();
  };
  TRY(write_layer_tar(layer, sink, progress));
  blob.digest = digest_text(hash.finish());
  return blob;
}

JsonObject descriptor(std::string_view type, const Blob& blob) {
  return {{"mediaType", type}, {"digest", blob.digest}, {"size", blob.size}};
}

JsonObject platform_json() {
  const Platform own = own_platform();
  return {{"architecture", own.architecture}, {"os", own.os}};
}

std::string config_document(const ImageToExport& image, const std::vector<Blob>& layers) {
  JsonObject config;
  if (!image.config.user.empty()) config["User"] = image.config.user;
  if (!image.config.env.empty()) config["Env"] = text_list(image.config.env);
  if (!image.config.entrypoint.empty()) config["Entrypoint"] = text_list(image.config.entrypoint);
  if (!image.config.cmd.empty()) config["Cmd"] = text_list(image.config.cmd);
  if (!image.config.workdir.empty()) config["WorkingDir"] = image.config.workdir;
  JsonArray diff_ids, history;
  for (const Blob& layer : layers) {
    diff_ids.emplace_back(layer.digest);
    history.push_back(JsonObject{{"created", kCreated}, {"created_by", "tare env export"}});
  }
  JsonObject document = platform_json();
  document["created"] = kCreated;
  document["config"] = std::move(config);
  document["rootfs"] = JsonObject{{"type", "layers"}, {"diff_ids", std::move(diff_ids)}};
  document["history"] = std::move(history);
  return to_text(Json(std::move(document)));
}

std::string manifest_document(const Blob& config, const std::vector<Blob>& layers) {
  JsonArray list;
  for (const Blob& layer : layers) list.push_back(descriptor(kOciLayerType, layer));
  return to_text(JsonObject{{"schemaVersion", 2},
                            {"mediaType", kOciManifestType},
                            {"config", descriptor(kOciConfigType, config)},
                            {"layers", std::move(list)}});
}

std::string index_document(const Blob& manifest, std::string_view reference) {
  JsonObject entry = descriptor(kOciManifestType, manifest);
  entry["platform"] = platform_json();
  entry["annotations"] = JsonObject{{"org.opencontainers.image.ref.name", reference}};
  return to_text(JsonObject{{"schemaVersion", 2},
                            {"mediaType", kOciIndexType},
                            {"manifests", JsonArray{std::move(entry)}}});
}

// Writes the archive, and counts it.
class ArchiveOut {
 public:
  ArchiveOut(int out, const OnProgress& progress) : out_(out), progress_(progress) {}

  Result<> add_folder(const std::string& name);
  Result<> add_file(const std::string& name, std::string_view content);
  Result<> add_layer(const std::string& name, const StoredLayer& layer, const Blob& expected);
  Result<> write(std::span<const std::byte> bytes);
  Result<> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  int out_;
  const OnProgress& progress_;
  std::uint64_t bytes_ = 0;
};

TarHeader plain(const std::string& name, std::uint64_t size) {
  TarHeader header;
  header.name = name;
  header.size = size;
  header.mtime_s = static_cast<std::uint64_t>(kImplicitMtime);
  return header;
}

Result<> ArchiveOut::write(std::span<const std::byte> bytes) {
  TRY(sys::write_all(out_, bytes).context("the archive could not be written"));
  bytes_ += bytes.size();
  return ok();
}

Result<> ArchiveOut::add_folder(const std::string& name) {
  TarHeader header = plain(name + "/", 0);
  header.type = TarType::folder;
  header.mode = 0755;
  return write(tar_header(header));
}

Result<> ArchiveOut::add_file(const std::string& name, std::string_view content) {
  TRY(write(tar_header(plain(name, content.size()))));
  TRY(write(content));
  return write(tar_padding(content.size()));
}

Result<> ArchiveOut::add_layer(const std::string& name, const StoredLayer& layer,
                               const Blob& expected) {
  TRY(write(tar_header(plain(name, expected.size))));
  Sha256 hash;
  std::uint64_t size = 0;
  const Error changed{Errc::conflict, "layer " + layer.digest + " changed while it was read"};
  const ByteSink sink = [&](std::span<const std::byte> bytes) -> Result<> {
    size += bytes.size();
    if (size > expected.size) return changed;
    hash.update(bytes);
    return write(bytes);
  };
  TRY(write_layer_tar(layer, sink, progress_));
  if (size != expected.size || digest_text(hash.finish()) != expected.digest) return changed;
  return write(tar_padding(size));
}

Result<std::string> write_oci(const ImageToExport& image, const std::vector<Blob>& layers,
                              ArchiveOut& archive) {
  const std::string config = config_document(image, layers);
  const std::string manifest = manifest_document(blob_of(config), layers);
  const std::string reference = image.reference.empty() ? std::string(kDefaultReference)
                                                        : image.reference;
  TRY(archive.add_file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  TRY(archive.add_file("index.json", index_document(blob_of(manifest), reference)));
  TRY(archive.add_folder("blobs"));
  TRY(archive.add_folder("blobs/sha256"));
  const std::string folder = "blobs/sha256/";
  TRY(archive.add_file(folder + hex_of(blob_of(manifest)), manifest));
  TRY(archive.add_file(folder + hex_of(blob_of(config)), config));
  for (std::size_t i = 0; i < layers.size(); ++i)
    TRY(archive.add_layer(folder + hex_of(layers[i]), image.layers[i], layers[i]));
  return sha256_text(manifest);
}

Result<std::string> write_docker(const ImageToExport& image, const std::vector<Blob>& layers,
                                 ArchiveOut& archive) {
  const std::string config = config_document(image, layers);
  const std::string config_name = hex_of(blob_of(config)) + ".json";
  JsonArray names;
  for (const Blob& layer : layers) names.emplace_back(hex_of(layer) + ".tar");
  JsonObject one{{"Config", config_name}};
  one["RepoTags"] = image.reference.empty() ? Json(nullptr) : Json(text_list({image.reference}));
  one["Layers"] = std::move(names);
  TRY(archive.add_file("manifest.json", to_text(JsonArray{std::move(one)})));
  TRY(archive.add_file(config_name, config));
  for (std::size_t i = 0; i < layers.size(); ++i)
    TRY(archive.add_layer(hex_of(layers[i]) + ".tar", image.layers[i], layers[i]));
  return sha256_text(config);
}

Result<std::string> write_tree(const ImageToExport& image, ArchiveOut& archive,
                               const OnProgress& progress) {
  Sha256 hash;
  const ByteSink sink = [&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    return archive.write(bytes);
  };
  TRY(write_merged_tar(image.layers, sink, progress));
  return digest_text(hash.finish());
}

}  // namespace

Result<ExportedImage> export_image(const ImageToExport& image, ExportFormat format, int out,
                                   const OnProgress& progress) {
  ArchiveOut archive(out, progress);
  if (format == ExportFormat::tree) {
    std::string digest = TRY(write_tree(image, archive, progress));
    return ExportedImage{archive.bytes(), std::move(digest)};
  }
  std::vector<Blob> layers;
  for (const StoredLayer& layer : image.layers) layers.push_back(TRY(measured(layer, progress)));
  std::string digest = TRY(format == ExportFormat::oci ? write_oci(image, layers, archive)
                                                       : write_docker(image, layers, archive));
  TRY(archive.write(std::string(kTarEndBytes, '\0')));
  return ExportedImage{archive.bytes(), std::move(digest)};
}

}  // namespace tare::snapshot
