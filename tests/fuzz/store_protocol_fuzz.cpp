// Messages to and from tare-store, and manifests: what decodes must encode to the same bytes;
// nothing else may happen.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <variant>

#include "base/check.h"
#include "reach.h"
#include "snapshot/manifest.h"
#include "snapshot/needles.h"
#include "snapshot/protocol.h"

namespace {

using tare::fuzz::Reach;

// One for each of a variant's types, or of an enumeration's values.
class Each {
 public:
  Each(const std::string& what, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) all_.emplace_back(what + " " + std::to_string(i));
  }
  void reached(std::size_t index) { all_.at(index).reached(); }

 private:
  std::deque<Reach> all_;
};

Each g_requests("request", std::variant_size_v<tare::snapshot::Request>);
Each g_replies("reply", std::variant_size_v<tare::snapshot::Reply>);
Each g_entries("manifest entry", static_cast<std::size_t>(tare::snapshot::EntryType::whiteout) + 1);
Reach g_attributes("manifest entry with attributes"), g_needles("needles"), g_path("path");

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare::snapshot;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto request = decode_request(bytes)) {
    CHECK(encode(*request).value() == bytes);
    CHECK(descriptors_of(*request) <= kMaxFilesPerChunk);
    g_requests.reached(request->index());
  }
  if (const auto reply = decode_reply(bytes)) {
    CHECK(encode(*reply).value() == bytes);
    g_replies.reached(reply->index());
  }
  // The format's own first line in front, so that mutations reach what is behind it.
  const std::string text = "tare-manifest 1\n" + std::string(bytes);
  if (const auto manifest = parse_manifest(text)) {
    std::string again;
    ManifestWriter writer([&](std::string_view part) {
      again += part;
      return tare::ok();
    });
    for (const ManifestEntry& entry : manifest->entries) {
      CHECK(writer.add(entry).ok());
      g_entries.reached(static_cast<std::size_t>(entry.type));
      if (!entry.xattrs.empty()) g_attributes.reached();
    }
    CHECK(writer.finish().value() == manifest->summary && again == text);
  }
  if (const auto needles = parse_needles(bytes)) {
    CHECK(encode_needles(*needles).value() == bytes);
    g_needles.reached();
  }
  (void)parse_manifest_tail(bytes);
  if (const auto path = clean_entry_path(bytes)) {
    CHECK(check_entry_path(*path).ok());
    g_path.reached();
  }
  return 0;
}
