#include "snapshot/image/documents.h"

#include <algorithm>

#include "base/decode.h"
#include "base/text.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kMaxTypeBytes = 256;
constexpr std::uint64_t kMaxBlobBytes = std::uint64_t{1} << 40;
constexpr std::string_view kReferenceName = "org.opencontainers.image.ref.name";

// Go's encoders write null for what is not there.
template <class Reader>
auto or_null(Reader reader) {
  return [reader](const Node& node) -> std::invoke_result_t<Reader, const Node&> {
    if (node.value().is_null()) return ReadType<Reader>{};
    return reader(node);
  };
}

auto words() { return or_null(list_of(text(kMaxArgBytes), kMaxArgs)); }

Result<Platform> read_platform(const Node& node) {
  Platform platform;
  Fields fields(node);
  fields.optional("os", platform.os, text(kMaxPlatformBytes));
  fields.optional("architecture", platform.architecture, text(kMaxPlatformBytes));
  fields.optional("variant", platform.variant, text(kMaxPlatformBytes));
  TRY(fields.finish());
  return platform;
}

Result<std::optional<Platform>> read_optional_platform(const Node& node) {
  return std::optional(TRY(read_platform(node)));
}

Result<std::string> read_reference(const Node& node) {
  std::string name;
  Fields fields(node);
  fields.optional(kReferenceName, name, text(kMaxReferenceBytes));
  TRY(fields.finish());
  return name;
}

Result<MediaType> read_type(const Node& node) {
  return media_type_from(TRY(read_text(node, kMaxTypeBytes, 0)));
}

Result<Descriptor> read_descriptor(const Node& node) {
  Descriptor one;
  Fields fields(node);
  fields.required("mediaType", one.type, read_type);
  fields.required("digest", one.digest, read_digest);
  fields.required("size", one.size, integer<std::uint64_t>(0, kMaxBlobBytes));
  fields.optional("platform", one.platform,
                  or_null([](const Node& n) { return read_optional_platform(n); }));
  fields.optional("annotations", one.reference, or_null(read_reference));
  TRY(fields.finish());
  return one;
}

// One of the two kinds of document, and nothing of the other: what one reader takes for an index
// and another for a manifest has two meanings.
Result<> check_kind(const Node& node, BlobKind kind,
                    std::initializer_list<std::string_view> not_of) {
  std::uint32_t schema = 0;
  MediaType type{kind};
  Fields fields(node);
  fields.required("schemaVersion", schema, integer<std::uint32_t>(2, 2));
  fields.optional("mediaType", type, read_type);
  TRY(fields.finish());
  if (type.kind != kind) return node.refuse("mediaType: it is not what its descriptor says");
  for (const std::string_view key : not_of)
    if (fields.has(key)) return node.refuse(quote(key) + " does not belong into it");
  return ok();
}

Result<Json> parse(std::string_view text, std::string_view what) {
  return parse_json(text, {.max_bytes = kMaxImageDocumentBytes}).context(what);
}

// As a container's own environment has it when a name is there again.
void keep_last_of_each(std::vector<std::string>& env) {
  const auto name_of = [](std::string_view variable) {
    return variable.substr(0, variable.find('='));
  };
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < env.size(); ++i) {
    const bool again = std::any_of(
        env.begin() + static_cast<std::ptrdiff_t>(i) + 1, env.end(),
        [&](const std::string& later) { return name_of(later) == name_of(env[i]); });
    if (!again) kept.push_back(env[i]);
  }
  env = std::move(kept);
}

Result<model::ImageConfig> read_inner_config(const Node& node) {
  model::ImageConfig config;
  Fields fields(node);
  fields.optional("Entrypoint", config.entrypoint, words());
  fields.optional("Cmd", config.cmd, words());
  fields.optional("Env", config.env, or_null(list_of(text(model::kMaxImageConfigBytes), kMaxEnv)));
  fields.optional("User", config.user, text(model::kMaxImageUserBytes));
  fields.optional("WorkingDir", config.workdir, text(kMaxPathBytes));
  TRY(fields.finish());
  keep_last_of_each(config.env);
  return config;
}

Result<std::vector<std::string>> read_rootfs(const Node& node) {
  std::string type;
  std::vector<std::string> diff_ids;
  Fields fields(node);
  fields.required("type", type, choice({"layers"}));
  fields.required("diff_ids", diff_ids, or_null(list_of(read_digest, kMaxImageLayers)));
  TRY(fields.finish());
  return diff_ids;
}

Result<SavedImage> read_saved_image(const Node& node) {
  SavedImage image;
  Fields fields(node);
  fields.required("Config", image.config, text(kMaxPathBytes, 1));
  fields.optional("RepoTags", image.tags, or_null(list_of(text(kMaxReferenceBytes), kMaxArgs)));
  fields.required("Layers", image.layers,
                  or_null(list_of(text(kMaxPathBytes, 1), kMaxImageLayers)));
  TRY(fields.finish());
  return image;
}

}  // namespace

Result<ImageIndex> parse_image_index(std::string_view text) {
  const Json json = TRY(parse(text, "image index"));
  const Node node(json, Unknown::ignore);
  const auto read = [&]() -> Result<ImageIndex> {
    TRY(check_kind(node, BlobKind::index, {"config", "layers", "fsLayers"}));
    ImageIndex index;
    Fields fields(node);
    fields.required("manifests", index.entries, list_of(read_descriptor, kMaxIndexEntries));
    TRY(fields.finish());
    std::erase_if(index.entries, [](const Descriptor& one) {
      return one.type.kind != BlobKind::index && one.type.kind != BlobKind::manifest;
    });
    return index;
  };
  return read().context("image index");
}

Result<ImageManifest> parse_image_manifest(std::string_view text) {
  const Json json = TRY(parse(text, "image manifest"));
  const Node node(json, Unknown::ignore);
  const auto read = [&]() -> Result<ImageManifest> {
    TRY(check_kind(node, BlobKind::manifest, {"manifests", "fsLayers"}));
    ImageManifest manifest;
    Fields fields(node);
    fields.required("config", manifest.config, read_descriptor);
    fields.required("layers", manifest.layers, list_of(read_descriptor, kMaxImageLayers));
    TRY(fields.finish());
    if (manifest.config.type.kind != BlobKind::config)
      return node.refuse("config.mediaType: it is not an image's: this is no image of files");
    for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
      if (manifest.layers[i].type.kind != BlobKind::layer)
        return node.refuse("layers[" + std::to_string(i) + "].mediaType: no layer that we know");
    }
    return manifest;
  };
  return read().context("image manifest");
}

Result<ImageDocument> parse_image_document(std::string_view text) {
  const Json json = TRY(parse(text, "image configuration"));
  const Node node(json, Unknown::ignore);
  const auto read = [&]() -> Result<ImageDocument> {
    ImageDocument image;
    image.platform = TRY(read_platform(node));
    Fields fields(node);
    fields.optional("config", image.config, or_null(read_inner_config));
    fields.required("rootfs", image.diff_ids, read_rootfs);
    TRY(fields.finish());
    TRY(model::check_image_config(image.config));
    return image;
  };
  return read().context("image configuration");
}

Result<std::vector<SavedImage>> parse_saved_images(std::string_view text) {
  const Json json = TRY(parse(text, "manifest.json"));
  return list_of(read_saved_image, kMaxIndexEntries, 1)(Node(json, Unknown::ignore))
      .context("manifest.json");
}

Result<> check_oci_layout(std::string_view text) {
  const Json json = TRY(parse(text, "oci-layout"));
  const Node node(json, Unknown::ignore);
  std::string version;
  Fields fields(node);
  fields.required("imageLayoutVersion", version, choice({"1.0.0", "1.1.0"}));
  return fields.finish().context("oci-layout");
}

}  // namespace tare::snapshot
