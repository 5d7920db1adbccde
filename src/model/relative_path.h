// Paths that come from outside and are used below a folder of ours: inputs, an agent's files.
// Pure functions. Errors: Errc::invalid naming the field.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tare::model {

// One or more names with single slashes between them: relative, no empty name, no "." or "..", no
// NUL or other control character, valid UTF-8, within kMaxPathBytes, kMaxPathComponents and
// kMaxPathComponentBytes.
Result<> check_relative_path(std::string_view field, std::string_view path);

// Two paths that cannot both be files: the same, or one a folder of the other ("a" and "a/b").
struct PathClash {
  std::size_t first = 0;   // index of the one that comes first
  std::size_t second = 0;  // and of the later one
  bool same = false;
};
std::optional<PathClash> find_path_clash(const std::vector<std::string_view>& paths);

}  // namespace tare::model
