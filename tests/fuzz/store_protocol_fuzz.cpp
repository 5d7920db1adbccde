// Messages to and from tare-store, and manifests: what decodes must encode to the same bytes;
// nothing else may happen.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "snapshot/manifest.h"
#include "snapshot/needles.h"
#include "snapshot/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare::snapshot;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto request = decode_request(bytes)) {
    CHECK(encode(*request).value() == bytes);
    CHECK(descriptors_of(*request) <= kMaxFilesPerChunk);
  }
  if (const auto reply = decode_reply(bytes)) CHECK(encode(*reply).value() == bytes);
  // The format's own first line in front, so that mutations reach what is behind it.
  const std::string text = "tare-manifest 1\n" + std::string(bytes);
  if (const auto manifest = parse_manifest(text)) {
    std::string again;
    ManifestWriter writer([&](std::string_view part) {
      again += part;
      return tare::ok();
    });
    for (const ManifestEntry& entry : manifest->entries) CHECK(writer.add(entry).ok());
    CHECK(writer.finish().value() == manifest->summary && again == text);
  }
  if (const auto needles = parse_needles(bytes)) CHECK(encode_needles(*needles).value() == bytes);
  (void)parse_manifest_tail(bytes);
  if (const auto path = clean_entry_path(bytes)) CHECK(check_entry_path(*path).ok());
  return 0;
}
