#include "base/clock.h"

#include <ctime>

#include "base/check.h"

namespace tare {

namespace {

timespec read_clock(clockid_t id) {
  timespec now{};
  CHECK(::clock_gettime(id, &now) == 0);
  return now;
}

}  // namespace

std::uint64_t RealClock::wall_ms() const {
  const timespec now = read_clock(CLOCK_REALTIME);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

std::uint64_t RealClock::monotonic_us() const {
  const timespec now = read_clock(CLOCK_MONOTONIC);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

void ManualClock::advance_ms(std::uint64_t ms) {
  wall_ms_ += ms;
  monotonic_us_ += ms * 1000;
}

}  // namespace tare
