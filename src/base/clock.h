// Clock: the only way to learn the time. Passed in from main, so that tests and simulations own the
// time.
//
// Wall time is milliseconds since the Unix epoch, UTC: for records; it may jump. Monotonic time is
// microseconds since some fixed moment: for measuring; it never goes back. Threads: RealClock any;
// ManualClock one. Source: clock_gettime(2).
#pragma once

#include <cstdint>

namespace tare {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t wall_ms() const = 0;
  virtual std::uint64_t monotonic_us() const = 0;
};

class RealClock final : public Clock {
 public:
  std::uint64_t wall_ms() const override;
  std::uint64_t monotonic_us() const override;
};

// Moves only when told to.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::uint64_t wall_ms = 0) : wall_ms_(wall_ms) {}
  std::uint64_t wall_ms() const override { return wall_ms_; }
  std::uint64_t monotonic_us() const override { return monotonic_us_; }

  // Time passes: both clocks go on.
  void advance_ms(std::uint64_t ms);
  // Somebody sets the wall clock: the monotonic one does not notice.
  void set_wall_ms(std::uint64_t wall_ms) { wall_ms_ = wall_ms; }

 private:
  std::uint64_t wall_ms_;
  std::uint64_t monotonic_us_ = 0;
};

}  // namespace tare
