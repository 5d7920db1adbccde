#include "host/recovery.h"

#include <gtest/gtest.h>

namespace tare::host {
namespace {

using model::RunEventType;

model::RunEvent event(RunEventType type, std::string_view launcher = "") {
  model::RunEvent event;
  event.type = type;
  event.launcher = launcher;
  return event;
}

TEST(Recovery, a_launch_is_for_the_launcher_that_its_event_names) {
  EXPECT_EQ(launch_of({}).launcher, "");
  const Launch launch = launch_of({event(RunEventType::created),
                                   event(RunEventType::launching, "0123456789abcdef"),
                                   event(RunEventType::reattached)});
  EXPECT_EQ(launch.launcher, "0123456789abcdef");
  EXPECT_FALSE(launch.kill_requested);
}

TEST(Recovery, a_session_that_woke_was_launched_when_it_woke) {
  model::RunEvent first = event(RunEventType::launching, "1"), again = first;
  first.at_ms = 1'000;
  again.at_ms = 5'000;
  EXPECT_EQ(launch_of({}).at_ms, 0U);
  EXPECT_EQ(launch_of({first, event(RunEventType::hibernated), again}).at_ms, 5'000U);
}

TEST(Recovery, a_kill_that_was_acknowledged_is_not_forgotten) {
  EXPECT_TRUE(launch_of({event(RunEventType::created), event(RunEventType::launching, "1"),
                         event(RunEventType::kill_requested)})
                  .kill_requested);
}

TEST(Recovery, the_first_reason_of_a_kill_is_its_reason) {
  model::RunEvent idle = event(RunEventType::kill_requested), asked = idle;
  idle.message = "idle for 1 s";
  EXPECT_EQ(launch_of({idle, asked}).kill_why, "idle for 1 s");
  EXPECT_EQ(launch_of({asked, idle}).kill_why, "");
}

TEST(Recovery, a_refused_call_that_is_in_an_event_is_not_told_again) {
  model::RunEvent first = event(RunEventType::denied);
  first.call = "ptrace";
  first.count = 1;
  model::RunEvent last = first;
  last.count = 3;
  EXPECT_EQ(launch_of({first, last}).denied, (std::map<std::string, std::uint64_t>{{"ptrace", 3}}));
}

}  // namespace
}  // namespace tare::host
