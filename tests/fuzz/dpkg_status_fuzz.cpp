// The list of packages of an environment, which anybody may have written: what is taken has plain
// names and versions; nothing else may happen.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "snapshot/package_lists.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare::snapshot;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto packages = parse_dpkg_status(text);
  if (!packages) return 0;
  for (const auto& [name, version] : *packages) {
    CHECK(!name.empty() && !version.empty() && version.size() <= kMaxPackageVersionBytes);
    for (const char c : name + version) CHECK(c > 0x20 && c < 0x7f);
  }
  CHECK(diff_packages(*packages, *packages).empty());
  CHECK(diff_packages({}, *packages).size() == packages->size());
  return 0;
}
