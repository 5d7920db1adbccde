#include "base/bytes.h"

#include <array>
#include <limits>
#include <optional>

#include <fmt/core.h>

#include "base/text.h"

namespace tare {

namespace {

constexpr std::uint64_t kMaxResult = std::numeric_limits<std::int64_t>::max();
constexpr int kMaxFractionDigits = 9;

struct NamedUnit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array kSizeUnits = {
    NamedUnit{"", 1},     NamedUnit{"B", 1},      NamedUnit{"K", kKiB}, NamedUnit{"KiB", kKiB},
    NamedUnit{"M", kMiB}, NamedUnit{"MiB", kMiB}, NamedUnit{"G", kGiB}, NamedUnit{"GiB", kGiB},
    NamedUnit{"T", kTiB}, NamedUnit{"TiB", kTiB},
};

// Largest first: the order in which they must be written.
constexpr std::array kDurationUnits = {
    NamedUnit{"d", 86'400'000}, NamedUnit{"h", 3'600'000}, NamedUnit{"m", 60'000},
    NamedUnit{"s", 1000},       NamedUnit{"ms", 1},
};

// whole + fraction / scale.
struct Decimal {
  std::uint64_t whole = 0;
  std::uint64_t fraction = 0;
  std::uint64_t scale = 1;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes a number off the front of `rest`: digits, or digits "." digits. Nothing where there is
// none, or it does not fit.
std::optional<Decimal> take_decimal(std::string_view& rest) {
  Decimal out;
  if (rest.empty() || !is_digit(rest.front())) return std::nullopt;
  for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1)) {
    const auto digit = static_cast<std::uint64_t>(rest.front() - '0');
    if (out.whole > (kMaxResult - digit) / 10) return std::nullopt;
    out.whole = out.whole * 10 + digit;
  }
  if (rest.empty() || rest.front() != '.') return out;
  rest.remove_prefix(1);
  int digits = 0;
  for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1), ++digits) {
    if (digits == kMaxFractionDigits) return std::nullopt;
    out.fraction = out.fraction * 10 + static_cast<std::uint64_t>(rest.front() - '0');
    out.scale *= 10;
  }
  if (digits == 0) return std::nullopt;
  return out;
}

// The letters at the front of `rest`.
std::string_view take_unit(std::string_view& rest) {
  std::size_t n = 0;
  while (n < rest.size() && rest[n] != '.' && !is_digit(rest[n])) ++n;
  const std::string_view unit = rest.substr(0, n);
  rest.remove_prefix(n);
  return unit;
}

// Rounded down; nothing on overflow, for a fraction of the smallest unit, and where rounding would
// make nothing of something.
std::optional<std::uint64_t> scaled(const Decimal& number, std::uint64_t factor) {
  if (number.scale != 1 && factor == 1) return std::nullopt;
  if (number.whole > kMaxResult / factor) return std::nullopt;
  // fraction < 10^9 and factor <= 2^40: the product fits 128 bits with room to spare.
  const auto part = static_cast<std::uint64_t>(static_cast<unsigned __int128>(number.fraction) *
                                               factor / number.scale);
  const std::uint64_t whole = number.whole * factor;
  if (part > kMaxResult - whole) return std::nullopt;
  if (whole + part == 0 && number.fraction != 0) return std::nullopt;
  return whole + part;
}

Error not_a_size(std::string_view text) {
  return Error{
      Errc::invalid,
      fmt::format("{} is not a size: write a number and one of B, K, M, G, T, KiB, MiB, GiB, "
                  "TiB (all powers of 1024), such as 512M or 1.5G; at most {}",
                  quote(text), kMaxResult)};
}

Error not_a_duration(std::string_view text) {
  return Error{
      Errc::invalid,
      fmt::format("{} is not a duration: write numbers with the units d, h, m, s, ms, each at "
                  "most once and in this order, such as 10s, 1h30m or 250ms; at most {} ms",
                  quote(text), kMaxResult)};
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  const std::optional<Decimal> number = take_decimal(rest);
  if (!number) return not_a_size(text);
  for (const NamedUnit& unit : kSizeUnits) {
    if (unit.name != rest) continue;
    const std::optional<std::uint64_t> bytes = scaled(*number, unit.factor);
    if (!bytes) return not_a_size(text);
    return *bytes;
  }
  return not_a_size(text);
}

Result<std::uint64_t> parse_duration(std::string_view text) {
  std::string_view rest = text;
  std::size_t next_unit = 0;  // units before this one are used up
  std::uint64_t total_ms = 0;
  do {
    const std::optional<Decimal> number = take_decimal(rest);
    const std::string_view name = take_unit(rest);
    while (next_unit < kDurationUnits.size() && kDurationUnits[next_unit].name != name) ++next_unit;
    if (!number || next_unit == kDurationUnits.size()) return not_a_duration(text);
    const std::optional<std::uint64_t> part_ms = scaled(*number, kDurationUnits[next_unit].factor);
    if (!part_ms || *part_ms > kMaxResult - total_ms) return not_a_duration(text);
    total_ms += *part_ms;
    ++next_unit;
  } while (!rest.empty());
  return total_ms;
}

std::string format_size(std::uint64_t bytes) {
  for (const auto& [name, factor] :
       {NamedUnit{"T", kTiB}, NamedUnit{"G", kGiB}, NamedUnit{"M", kMiB}, NamedUnit{"K", kKiB}}) {
    if (bytes != 0 && bytes % factor == 0) return fmt::format("{}{}", bytes / factor, name);
  }
  return fmt::format("{}", bytes);
}

std::string format_size_rounded(std::uint64_t bytes) {
  for (const auto& [name, factor] :
       {NamedUnit{"T", kTiB}, NamedUnit{"G", kGiB}, NamedUnit{"M", kMiB}, NamedUnit{"K", kKiB}}) {
    if (bytes < factor) continue;
    const std::uint64_t tenth = bytes % factor * 10 / factor;
    if (tenth == 0 || bytes / factor >= 100) return fmt::format("{}{}", bytes / factor, name);
    return fmt::format("{}.{}{}", bytes / factor, tenth, name);
  }
  return fmt::format("{}B", bytes);
}

std::string format_duration(std::uint64_t duration_ms) {
  if (duration_ms == 0) return "0s";
  std::string out;
  for (const NamedUnit& unit : kDurationUnits) {
    if (duration_ms >= unit.factor)
      out += fmt::format("{}{}", duration_ms / unit.factor, unit.name);
    duration_ms %= unit.factor;
  }
  return out;
}

}  // namespace tare
