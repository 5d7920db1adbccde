// What registries and people write of images in a line, and the heads of our own archives: taken in
// one spelling or refused.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/tar_header.h"
#include "model/image_reference.h"
#include "model/profile.h"
#include "reach.h"
#include "registry/challenge.h"
#include "snapshot/image/platform.h"

namespace {

using namespace tare;

tare::fuzz::Reach g_basic("a Basic challenge"), g_bearer("a Bearer challenge"),
    g_reference("a reference with tag and digest"), g_platform("a platform with a variant"),
    g_user("ids of a user"), g_head("a head of a tar"), g_pax("one with a long name");

// All blocks of it, whatever they are.
void read_heads(std::string_view bytes) {
  PlainTarHeads heads;
  for (; bytes.size() >= kTarBlockBytes; bytes.remove_prefix(kTarBlockBytes)) {
    const auto read = heads.take(bytes.substr(0, kTarBlockBytes));
    if (!read || *read == PlainTarHeads::Read::end) return;
    if (*read == PlainTarHeads::Read::more) {
      g_pax.reached();
      continue;
    }
    CHECK(heads.header().name.size() <= 100);
    CHECK(heads.header().type == TarType::file || heads.header().type == TarType::folder);
    g_head.reached();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto challenge = registry::parse_challenge(text)) {
    const bool bearer = challenge->kind == registry::Challenge::Kind::bearer;
    CHECK(bearer == !challenge->realm.empty());
    (bearer ? g_bearer : g_basic).reached();
  }
  if (const auto image = model::parse_image_reference(text)) {
    CHECK(model::parse_image_reference(image->text()).value() == *image);
    CHECK(!image->host.empty() && !image->name.empty() && !image->version().empty());
    CHECK(image->text().find_first_of(" \t\n\"\\") == std::string::npos);
    if (!image->tag.empty() && !image->digest.empty()) g_reference.reached();
  }
  if (const auto platform = snapshot::parse_platform(text)) {
    CHECK(snapshot::parse_platform(platform->text()).value() == *platform);
    if (!platform->variant.empty()) g_platform.reached();
  }
  if (const auto ids = model::ids_of_user(text)) {
    CHECK(model::user_of_ids(*ids) == text);
    g_user.reached();
  }
  read_heads(text);
  return 0;
}
