#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/hash.h"
#include "base/tar_header.h"
#include "base/text.h"
#include "registry/transfer.h"
#include "snapshot/image/documents.h"

namespace tare::registry {

namespace {

constexpr std::string_view kBlobs = "blobs/sha256/";
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

class Push {
 public:
  Push(RegistryClient& client, Input& archive) : client_(client), archive_(archive) {}

  Result<> run(const model::ImageReference& reference);

 private:
  Result<> take(const TarHeader& header);
  Result<> take_index(const std::string& text);
  Result<> take_layer(const std::string& digest, std::uint64_t size);
  Result<> pass_over(std::uint64_t bytes);

  RegistryClient& client_;
  Input& archive_;
  std::string manifest_digest_, manifest_, config_;
  std::optional<snapshot::ImageManifest> image_;
  std::size_t layers_ = 0;
};

Result<> Push::take_index(const std::string& text) {
  const auto index = TRY(snapshot::parse_image_index(text));
  if (index.entries.size() != 1) return Error{Errc::invalid, "archive: one image is expected"};
  manifest_digest_ = index.entries.front().digest;
  return ok();
}

Result<> Push::pass_over(std::uint64_t bytes) {
  std::string buffer(kPieceBytes, '\0');
  while (bytes > 0) {
    const auto into = std::span(buffer).first(std::min<std::uint64_t>(bytes, buffer.size()));
    const std::size_t n = TRY(archive_.read_some(into));
    if (n == 0) return Error{Errc::invalid, "archive: it was cut short"};
    bytes -= n;
  }
  return ok();
}

Result<> Push::take_layer(const std::string& digest, std::uint64_t size) {
  const bool known = image_ && std::ranges::any_of(image_->layers, [&](const auto& layer) {
                       return layer.digest == digest && layer.size == size;
                     });
  if (!known) return Error{Errc::invalid, "archive: " + digest + " is no layer of the image"};
  ++layers_;
  const bool there = TRY(client_.has_blob(digest));
  std::fprintf(stderr, "layer %zu of %zu: %llu bytes%s\n", layers_, image_->layers.size(),
               static_cast<unsigned long long>(size), there ? ", which it has" : "");
  if (there) return pass_over(size);
  std::uint64_t left = size;
  return client_.put_blob(digest, size, [&](std::span<char> into) -> Result<std::size_t> {
    const std::size_t n = TRY(
        archive_.read_some(into.first(std::min<std::uint64_t>(into.size(), left))));
    if (n == 0 && left > 0) return Error{Errc::invalid, "archive: it was cut short"};
    left -= n;
    return n;
  });
}

Result<> Push::take(const TarHeader& header) {
  const std::string digest = header.name.starts_with(kBlobs)
                                 ? "sha256:" + header.name.substr(kBlobs.size())
                                 : std::string();
  const bool layer = !digest.empty() && digest != manifest_digest_ &&
                     !(image_ && digest == image_->config.digest);
  if (layer) return take_layer(digest, header.size);
  if (header.size > snapshot::kMaxImageDocumentBytes)
    return Error{Errc::invalid, "archive: " + quote(header.name) + " is too long"};
  const std::string content = TRY(archive_.read_exactly(header.size));
  if (header.name == "index.json") return take_index(content);
  if (digest.empty()) return ok();
  if (sha256_text(content) != digest)
    return Error{Errc::invalid, "blob " + digest + ": its content has another digest"};
  if (digest != manifest_digest_) {
    config_ = content;
    return ok();
  }
  manifest_ = content;
  image_ = TRY(snapshot::parse_image_manifest(content));
  return ok();
}

Result<> Push::run(const model::ImageReference& reference) {
  PlainTarHeads heads;
  for (;;) {
    const auto read = TRY(heads.take(TRY(archive_.read_exactly(kTarBlockBytes))));
    if (read == PlainTarHeads::Read::end) break;
    if (read == PlainTarHeads::Read::more || heads.header().type == TarType::folder) continue;
    TRY(take(heads.header()));
    TRY(archive_.read_exactly(tar_padding(heads.header().size).size()));
  }
  if (!image_ || config_.empty()) return Error{Errc::invalid, "archive: no image is in it"};
  if (!TRY(client_.has_blob(image_->config.digest)))
    TRY(client_.put_blob(image_->config.digest, config_.size(), source_of(config_)));
  TRY(client_.put_manifest(reference.tag, std::string(snapshot::kOciManifestType), manifest_));
  std::printf("%s@%s\n", reference.text().c_str(), manifest_digest_.c_str());
  return ok();
}

}  // namespace

Result<> push(RegistryClient& client, const model::ImageReference& reference, Input& archive) {
  return Push(client, archive).run(reference);
}

}  // namespace tare::registry
