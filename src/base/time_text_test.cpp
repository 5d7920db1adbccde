#include "base/time_text.h"

#include <gtest/gtest.h>

namespace tare {
namespace {

TEST(TimeText, times_are_rfc_3339_in_utc) {
  EXPECT_EQ(format_utc(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_utc(1'469'918'176'385), "2016-07-30T22:36:16.385Z");
  EXPECT_EQ(format_utc(951'782'400'001), "2000-02-29T00:00:00.001Z");
  EXPECT_EQ(format_utc(253'402'300'799'999), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(format_utc(~std::uint64_t{0}), "9999-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace tare
