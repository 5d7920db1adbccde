// The JSON of images, from anybody: what is taken keeps its bounds; nothing else may happen.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/hash.h"
#include "reach.h"
#include "snapshot/image/documents.h"
#include "snapshot/image/users.h"

namespace {

tare::fuzz::Reach g_layout("the file oci-layout"), g_index("an index"), g_manifest("a manifest"),
    g_image("a configuration"), g_saved("Docker's manifest.json"), g_user("a user that has a name");

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare;
  using namespace tare::snapshot;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto index = parse_image_index(text)) {
    CHECK(index->entries.size() <= kMaxIndexEntries);
    for (const Descriptor& one : index->entries) CHECK(is_digest(one.digest));
    if (!index->entries.empty()) g_index.reached();
  }
  if (const auto manifest = parse_image_manifest(text)) {
    CHECK(manifest->layers.size() <= kMaxImageLayers && is_digest(manifest->config.digest));
    CHECK(!parse_image_index(text).ok());  // never both
    if (!manifest->layers.empty()) g_manifest.reached();
  }
  if (const auto image = parse_image_document(text)) {
    CHECK(model::check_image_config(image->config).ok());
    CHECK(image->diff_ids.size() <= kMaxImageLayers);
    if (!image->diff_ids.empty()) g_image.reached();
  }
  if (const auto saved = parse_saved_images(text)) {
    CHECK(!saved->empty());
    g_saved.reached();
  }
  if (check_oci_layout(text)) g_layout.reached();
  const std::string_view user = text.substr(0, text.find('\n'));
  if (const auto ids = ids_of_user(user, text, text)) {
    CHECK(ids->uid <= model::kMaxImageId && ids->gid <= model::kMaxImageId);
    if (ids->uid != 0 && !user.empty() && (user.front() < '0' || user.front() > '9'))
      g_user.reached();
  }
  return 0;
}
