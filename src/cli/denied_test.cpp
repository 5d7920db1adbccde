#include "cli/denied.h"

#include <gtest/gtest.h>

namespace tare::cli {
namespace {

TEST(Denied, the_last_event_of_each_call_counts) {
  const Json events = parse_json(R"({"events": [
    {"type": "started"},
    {"type": "denied", "call": "ptrace", "count": 1},
    {"type": "denied", "call": "mount", "count": 1},
    {"type": "denied", "call": "ptrace", "count": 3},
    {"type": "ended"}]})")
                          .value();
  EXPECT_EQ(denied_line(events), "denied: mount, ptrace (3 times)");
}

TEST(Denied, nothing_denied_is_no_line) {
  EXPECT_EQ(denied_line(parse_json(R"({"events": [{"type": "ended"}]})").value()), "");
  EXPECT_EQ(denied_line(parse_json("7").value()), "");
}

}  // namespace
}  // namespace tare::cli
