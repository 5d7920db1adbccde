#include <unistd.h>

#include <cstdio>
#include <set>

#include "base/hash.h"
#include "base/json.h"
#include "base/tar_header.h"
#include "base/text.h"
#include "registry/transfer.h"
#include "snapshot/image/documents.h"
#include "sys/files.h"

namespace tare::registry {

namespace {

using snapshot::BlobKind;
using snapshot::Descriptor;

struct Manifest {
  std::string type, text, digest;
};

Error contradicts(const std::string& digest, std::string_view why) {
  return Error{Errc::invalid, "blob " + digest + ": " + std::string(why)};
}

Result<Manifest> fetch(RegistryClient& client, const std::string& version) {
  auto document = TRY(client.manifest(version));
  Manifest manifest{std::move(document.type), std::move(document.text), {}};
  manifest.digest = sha256_text(manifest.text);
  if (is_digest(version) && manifest.digest != version)
    return contradicts(version, "its content has another digest");
  return manifest;
}

Result<Descriptor> for_platform(const std::string& index, const std::string& wanted) {
  const auto platform = wanted.empty() ? snapshot::own_platform()
                                       : TRY(snapshot::parse_platform(wanted));
  std::string known;
  for (const Descriptor& one : TRY(snapshot::parse_image_index(index)).entries) {
    if (one.type.kind != BlobKind::manifest || !one.platform) continue;
    if (platform.takes(*one.platform)) return one;
    known += (known.empty() ? "" : ", ") + one.platform->text();
  }
  return Error{Errc::invalid, "image: there is none for " + platform.text() + ", but " + known +
                                  "; --platform chooses"};
}

class Archive {
 public:
  explicit Archive(int out) : out_(out) {}
  Result<> write(std::string_view bytes) { return sys::write_all(out_, bytes); }
  Result<> begin(const std::string& name, std::uint64_t size) {
    TarHeader header;
    header.name = name;
    header.size = size;
    return write(tar_header(header));
  }
  Result<> add(const std::string& name, std::string_view content) {
    TRY(begin(name, content.size()));
    TRY(write(content));
    return write(tar_padding(content.size()));
  }

 private:
  int out_;
};

std::string file_of(const std::string& digest) {
  return "blobs/sha256/" + digest.substr(digest.find(':') + 1);
}

Result<> copy_blob(RegistryClient& client, const Descriptor& blob, Archive& archive) {
  TRY(archive.begin(file_of(blob.digest), blob.size));
  Sha256 hash;
  std::uint64_t size = 0;
  TRY(client.get_blob(blob.digest, [&](std::string_view bytes) -> Result<> {
    size += bytes.size();
    if (size > blob.size) return contradicts(blob.digest, "it is longer than was said");
    hash.update(bytes);
    return archive.write(bytes);
  }));
  if (size != blob.size) return contradicts(blob.digest, "it is shorter than was said");
  if (digest_text(hash.finish()) != blob.digest)
    return contradicts(blob.digest, "its content has another digest");
  return archive.write(tar_padding(size));
}

std::string index_of(const Manifest& manifest) {
  JsonArray entries;
  entries.push_back(JsonObject{
      {"mediaType", manifest.type}, {"digest", manifest.digest}, {"size", manifest.text.size()}});
  return to_text(JsonObject{{"schemaVersion", 2}, {"manifests", std::move(entries)}});
}

}  // namespace

Result<> pull(RegistryClient& client, const model::ImageReference& reference,
              const std::string& platform, int out) {
  Manifest manifest = TRY(fetch(client, reference.version()));
  if (snapshot::media_type_from(manifest.type).kind == BlobKind::index)
    manifest = TRY(fetch(client, TRY(for_platform(manifest.text, platform)).digest));
  const auto image = TRY(snapshot::parse_image_manifest(manifest.text));
  Archive archive(out);
  TRY(archive.add("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  TRY(archive.add("index.json", index_of(manifest)));
  TRY(archive.add(file_of(manifest.digest), manifest.text));
  TRY(copy_blob(client, image.config, archive));
  std::set<std::string> copied = {image.config.digest, manifest.digest};
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    const Descriptor& layer = image.layers[i];
    std::fprintf(stderr, "layer %zu of %zu: %llu bytes\n", i + 1, image.layers.size(),
                 static_cast<unsigned long long>(layer.size));
    if (copied.insert(layer.digest).second) TRY(copy_blob(client, layer, archive));
  }
  return archive.write(std::string(kTarEndBytes, '\0'));
}

}  // namespace tare::registry
