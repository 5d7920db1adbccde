#include "sandbox/doctor/facts.h"

#include <algorithm>
#include <charconv>

namespace tare::sandbox {

namespace {

// Takes the digits at the front of `text` away.
template <class Number>
std::optional<Number> take_number(std::string_view& text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

std::optional<std::uint64_t> take_column(std::string_view& line) {
  while (take(line, ' ')) {
  }
  return take_number<std::uint64_t>(line);
}

}  // namespace

std::optional<KernelVersion> parse_kernel_version(std::string_view release) {
  const auto major_number = take_number<std::uint32_t>(release);
  if (!major_number || !take(release, '.')) return std::nullopt;
  const auto minor_number = take_number<std::uint32_t>(release);
  if (!minor_number) return std::nullopt;
  return KernelVersion{*major_number, *minor_number};
}

bool maps_ids(std::string_view uid_map, std::uint64_t first, std::uint64_t count) {
  while (!uid_map.empty()) {
    std::string_view line = take_line(uid_map);
    const auto inside = take_column(line);
    const auto outside = take_column(line);
    const auto length = take_column(line);
    if (!inside || !outside || !length || *inside > first || *length < count) continue;
    if (first - *inside <= *length - count) return true;
  }
  return false;
}

CoreHandler core_handler(std::string_view core_pattern) {
  if (core_pattern.starts_with('|')) return CoreHandler::program;
  return core_pattern.starts_with('@') ? CoreHandler::socket : CoreHandler::file;
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  const auto value = take_number<std::uint64_t>(text);
  return text.empty() ? value : std::nullopt;
}

}  // namespace tare::sandbox
