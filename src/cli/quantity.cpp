#include "cli/quantity.h"

#include <fmt/core.h>

#include "base/text.h"

namespace tare::cli {

Result<std::uint32_t> parse_cpu_millis(std::string_view text) {
  const auto refuse = [&] {
    return Error{Errc::invalid,
                 fmt::format("{} is not a number of CPUs such as 1 or 0.5 (at most three decimals)",
                             quote(text))};
  };
  const auto dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  const std::string_view decimals = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  if (whole.empty() || whole.size() > 6 || decimals.size() > 3) return refuse();
  if (dot != std::string_view::npos && decimals.empty()) return refuse();
  std::uint32_t millis = 0;
  for (const char c :
       std::string(whole) + std::string(decimals) + std::string(3 - decimals.size(), '0')) {
    if (c < '0' || c > '9') return refuse();
    millis = millis * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return millis;
}

std::string elapsed_text(std::uint64_t microseconds) {
  const auto us = static_cast<double>(microseconds);
  if (microseconds < 1000) return fmt::format("{}us", microseconds);
  if (microseconds < 1'000'000) return fmt::format("{:.1f}ms", us / 1e3);
  const std::uint64_t seconds = microseconds / 1'000'000;
  if (seconds < 60) return fmt::format("{:.1f}s", us / 1e6);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
}

}  // namespace tare::cli
