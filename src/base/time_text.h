// Times as text: RFC 3339 in UTC with milliseconds, "2026-11-22T06:45:19.123Z".
// Pure functions. Units: milliseconds since the Unix epoch. Formatting never fails: a time beyond
// the year 9999 is shown as its last millisecond.
#pragma once

#include <cstdint>
#include <string>

namespace tare {

std::string format_utc(std::uint64_t wall_ms);

}  // namespace tare
