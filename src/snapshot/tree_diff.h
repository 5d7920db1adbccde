// What is different between two trees (merged_tree.h), entry by entry.
//
// Pure. Owner: the caller. Errors: none. What never happens: an entry in which nothing differs; an
// entry that differs and is not there. So the second tree is the first with the changes made.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "snapshot/merged_tree.h"

namespace tare::snapshot {

enum class Change : std::uint8_t { added, removed, changed };
std::string_view to_string(Change change);

// What differs in an entry that is in both.
enum class Aspect : std::uint8_t {
  type,        // a folder has become a file, and so on; the rest is not told
  content,     // of a file: bytes
  target,      // of a symlink
  mode,        // permission bits
  owner,       // user or group
  time,        // of the last modification
  attributes,  // extended ones
  names,       // of which file it is a further name
};
inline constexpr std::size_t kAspects = 8;
std::string_view to_string(Aspect aspect);

struct TreeChange {
  Change change = Change::changed;
  std::vector<Aspect> aspects = {};                      // of `changed`; in the order above
  std::optional<ManifestEntry> before = {}, after = {};  // one at least
  const std::string& path() const { return before ? before->path : after->path; }
};

// In the order of manifests.
std::vector<TreeChange> diff_trees(const SeenTree& before, const SeenTree& after);

}  // namespace tare::snapshot
