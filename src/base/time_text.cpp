#include "base/time_text.h"

#include <algorithm>
#include <chrono>

#include <fmt/core.h>

namespace tare {

std::string format_utc(std::uint64_t wall_ms) {
  using namespace std::chrono;
  constexpr std::uint64_t kLastMs = 253'402'300'799'999;  // 9999-12-31T23:59:59.999Z
  const sys_time<milliseconds> time{milliseconds{std::min(wall_ms, kLastMs)}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss<milliseconds> clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

}  // namespace tare
