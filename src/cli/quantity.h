// Amounts that base/bytes.h does not have: CPUs as people type them, measured times as people read
// them. Pure functions. Errors: Errc::invalid, saying what is allowed; nothing is rounded silently.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::cli {

Result<std::uint32_t> parse_cpu_millis(
    std::string_view text);  // "1", "0.5", "1.25": thousandths of a core

std::string elapsed_text(
    std::uint64_t microseconds);  // "830us", "12.4ms", "3.2s", "2m05s", "3h12m"

}  // namespace tare::cli
