// Which environments stand on which: one is the child of another when it has all of the other's
// layers and more above them. Several names of the same layers are one.
//
// Pure: from what GET /v1/environments answers. What never happens: an environment twice.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace tare::cli {

struct Ancestor {
  std::vector<std::string> names;  // sorted
  std::vector<std::string> layers;
  std::string digest;
  std::uint64_t size_bytes = 0;
  std::vector<Ancestor> children = {};  // by their first name
};
// Those that stand on no other. What has no layers (`host`, what is being built) is left out.
std::vector<Ancestor> lineage(const JsonArray& environments);

// A line each, children behind "|- " and "`- ".
std::string lineage_text(const std::vector<Ancestor>& roots);
JsonArray lineage_json(const std::vector<Ancestor>& roots);

}  // namespace tare::cli
