#include "base/clock.h"

#include <gtest/gtest.h>

namespace tare {
namespace {

TEST(Clock, the_real_wall_clock_is_past_the_year_this_was_written) {
  EXPECT_GT(RealClock{}.wall_ms(), 1'700'000'000'000U);
}

TEST(Clock, the_real_monotonic_clock_never_goes_back) {
  const RealClock clock;
  std::uint64_t last = clock.monotonic_us();
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t now = clock.monotonic_us();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Clock, a_manual_clock_moves_only_when_told_to) {
  ManualClock clock(5000);
  EXPECT_EQ(clock.wall_ms(), 5000U);
  EXPECT_EQ(clock.monotonic_us(), 0U);
  clock.advance_ms(250);
  EXPECT_EQ(clock.wall_ms(), 5250U);
  EXPECT_EQ(clock.monotonic_us(), 250'000U);
}

TEST(Clock, setting_the_wall_clock_leaves_the_monotonic_one_alone) {
  ManualClock clock(5000);
  clock.advance_ms(1);
  clock.set_wall_ms(10);
  EXPECT_EQ(clock.wall_ms(), 10U);
  EXPECT_EQ(clock.monotonic_us(), 1000U);
}

}  // namespace
}  // namespace tare
