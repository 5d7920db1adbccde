#include "sandbox/launch/denied_table.h"

#include "base/limits.h"

namespace tare::sandbox {
namespace {

DeniedReport report(std::uint32_t number, std::uint64_t count, CallAbi abi = CallAbi::x86_64) {
  return DeniedReport::of({abi, number}, count);
}

TEST(DeniedTable, the_last_count_of_each_call_is_kept) {
  DeniedTable table;
  EXPECT_TRUE(table.take(report(101, 1)));
  EXPECT_TRUE(table.take(report(101, 2)));
  EXPECT_TRUE(table.take(report(101, 3)));
  EXPECT_TRUE(table.take(report(101, 1, CallAbi::x32)));
  EXPECT_EQ(table.counts().size(), 2U);
  EXPECT_EQ(table.counts().at({CallAbi::x86_64, 101}), 3U);
}

TEST(DeniedTable, a_count_that_does_not_grow_is_nonsense) {
  DeniedTable table;
  EXPECT_TRUE(table.take(report(101, 8)));
  EXPECT_FALSE(table.take(report(101, 8)));
  EXPECT_FALSE(table.take(report(101, 7)));
  EXPECT_FALSE(table.take(report(101, kMaxCount + 1)));
  EXPECT_EQ(table.counts().at({CallAbi::x86_64, 101}), 8U);
}

TEST(DeniedTable, more_calls_or_more_reports_than_tare_init_ever_tells_are_nonsense) {
  DeniedTable calls;
  for (std::uint32_t i = 0; i < kMaxDeniedCalls; ++i) EXPECT_TRUE(calls.take(report(i, 1)));
  EXPECT_FALSE(calls.take(report(kMaxDeniedCalls, 1)));
  EXPECT_TRUE(calls.take(report(0, 2)));

  DeniedTable reports;
  std::uint64_t taken = 0;
  while (reports.take(report(101, taken + 1)) && taken < 100'000) ++taken;
  EXPECT_EQ(taken, kMaxDeniedCalls * 65U);
}

}  // namespace
}  // namespace tare::sandbox
