// Sizes and durations as people write them: "512M", "1.5G", "1h30m", "250ms".
//
// Units: sizes are bytes (K, M, G, T and KiB, MiB, GiB, TiB are all powers of 1024), durations
// milliseconds. Pure functions. Errors: Errc::invalid, quoting the text and naming what is allowed.
// Lower-case units, KB/MB, signs, spaces and exponents are refused: a limit must not be a guess.
// Results never exceed 2^63 - 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = kKiB << 10;
inline constexpr std::uint64_t kGiB = kMiB << 10;
inline constexpr std::uint64_t kTiB = kGiB << 10;

// A number without a unit is bytes. A fraction is rounded down to a whole byte.
Result<std::uint64_t> parse_size(std::string_view text);

// One or more of d, h, m, s, ms, each once and in this order. A unit is required: "10" is refused.
Result<std::uint64_t> parse_duration(std::string_view text);

// Exact: the largest unit that leaves a whole number ("512M", "1536M", "1025"). parse_size gives it
// back.
std::string format_size(std::uint64_t bytes);

// For people: at most one decimal, rounded down ("1.5G", "243K", "17B").
std::string format_size_rounded(std::uint64_t bytes);

// Exact: "1h30m", "1s500ms", "0s". parse_duration gives it back.
std::string format_duration(std::uint64_t duration_ms);

}  // namespace tare
