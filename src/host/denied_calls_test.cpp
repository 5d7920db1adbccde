#include "host/denied_calls.h"

#include <gtest/gtest.h>

namespace tare::host {
namespace {

TEST(DeniedCalls, each_call_is_told_when_it_is_new_and_once_more_at_the_end) {
  LiveRun live;
  live.denied["ptrace"].count = 1;
  auto first = denied_events(live, 5, Told::when_new);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].type, model::RunEventType::denied);
  EXPECT_EQ(first[0].at_ms, 5U);
  EXPECT_EQ(first[0].call, "ptrace");
  EXPECT_EQ(first[0].count, 1U);
  EXPECT_EQ(first[0].message, "ptrace");

  live.denied["ptrace"].count = 1'000'000;
  EXPECT_TRUE(denied_events(live, 6, Told::when_new).empty());
  live.denied["mount"].count = 2;
  EXPECT_EQ(denied_events(live, 6, Told::when_new).size(), 1U);

  const auto last = denied_events(live, 7, Told::at_the_end);
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].message, "ptrace (1000000 times)");
  EXPECT_TRUE(denied_events(live, 8, Told::at_the_end).empty());
}

TEST(DeniedCalls, what_the_tared_before_us_recorded_is_told_only_if_there_were_more) {
  LiveRun live;
  live.denied["ptrace"] = {4, 4};
  live.denied["mount"] = {4, 1};
  EXPECT_TRUE(denied_events(live, 1, Told::when_new).empty());
  const auto last = denied_events(live, 1, Told::at_the_end);
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].call, "mount");
}

}  // namespace
}  // namespace tare::host
