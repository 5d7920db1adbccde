// The rules for a path in a layer or an output folder. Names are bytes, compared and kept exactly:
// no encoding, no case, no Unicode normalisation.
//
// Pure functions. Errors: Errc::invalid, quoting the path and saying what is wrong with it. Never
// happens: an accepted path is absolute, or holds "..", an empty component or a NUL.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace tare::snapshot {

inline constexpr std::size_t
    kMaxEntryPathBytes = 4000;  // usable inside as "/<path>" (PATH_MAX is 4096)
inline constexpr std::size_t kMaxEntryNameBytes = 255;  // NAME_MAX
inline constexpr std::size_t kMaxEntryDepth = 256;      // components
inline constexpr std::size_t kMaxLinkTargetBytes = 4095;

inline constexpr std::string_view kRootPath = ".";

// The path as we keep it: "a/b". One leading "./" (or several) and one trailing "/" are dropped, as
// tar writes them; the root is ".".
Result<std::string> clean_entry_path(std::string_view path);
// Is it already as clean_entry_path would leave it?
Result<> check_entry_path(std::string_view path);

// "a/b/c" is {"a/b", "c"}; "a" is {".", "a"}. Not for the root.
std::pair<std::string, std::string> split_entry_path(std::string_view path);

// The other way round.
std::string join_entry_path(std::string_view folder, std::string_view name);

bool is_at_or_below(std::string_view path, std::string_view folder);

// The order of a manifest: a folder before what is in it, names of one folder by their bytes.
std::strong_ordering compare_entry_paths(std::string_view a, std::string_view b);

}  // namespace tare::snapshot
