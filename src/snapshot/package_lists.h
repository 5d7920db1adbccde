// Which packages a tree has: Debian's, from the text of var/lib/dpkg/status; Python's, from the
// paths of their METADATA files alone.
//
// Pure. The status file comes from an environment and is not to be trusted: it is parsed strictly,
// in linear time, and nothing in the result is other than plain package names and versions. Errors:
// Errc::invalid with the line's number. Sources: Debian Policy 5.1, 5.6.12; deb822(5); PEP 427,
// 503.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/merged_tree.h"

namespace tare::snapshot {

inline constexpr std::string_view kDpkgStatusPath = "var/lib/dpkg/status";
inline constexpr std::size_t kMaxPackages = 100'000;
inline constexpr std::size_t kMaxPackageVersionBytes = 128;

// Versions by name. Of several versions, "1.0, 2.0".
using PackageList = std::map<std::string, std::string, std::less<>>;

// Those that are installed. One that is there for several architectures is "name:arch".
Result<PackageList> parse_dpkg_status(std::string_view text);

// "usr/lib/python3/dist-packages/Foo_Bar-1.2.dist-info/METADATA" is foo-bar 1.2.
PackageList python_packages(const SeenTree& tree);

struct PackageChange {
  std::string name;
  std::string before, after;  // versions; "" where it is not there
  friend bool operator==(const PackageChange&, const PackageChange&) = default;
};
// By name.
std::vector<PackageChange> diff_packages(const PackageList& before, const PackageList& after);

}  // namespace tare::snapshot
