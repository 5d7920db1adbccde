#include "base/ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tare {
namespace {

using namespace std::string_view_literals;

// Gives all ones: the worst case for counting up.
class Ones final : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) b = std::byte{0xFF};
  }
};

TEST(RunId, is_valid_and_tells_when_it_was_made) {
  ManualClock clock(1'700'000'000'123);
  SeededRandom random(1);
  RunIdGenerator ids(clock, random);
  const std::string id = ids.next();
  EXPECT_TRUE(is_run_id(id)) << id;
  EXPECT_EQ(run_id_ms(id), 1'700'000'000'123U);
}

// The time of the ULID specification's example: 01ARYZ6S41 is 1469918176385.
TEST(RunId, encodes_time_as_the_ulid_specification_does) {
  ManualClock clock(1'469'918'176'385);
  SeededRandom random(1);
  EXPECT_EQ(RunIdGenerator(clock, random).next().substr(0, 14), "run_01aryz6s41");
}

TEST(RunId, ids_grow_within_one_millisecond_and_when_the_clock_goes_back) {
  ManualClock clock(5000);
  SeededRandom random(2);
  RunIdGenerator ids(clock, random);
  std::string last = ids.next();
  for (int i = 0; i < 10'000; ++i) {
    if (i % 100 == 0) clock.advance_ms(random.below(3));
    if (i == 5000) clock.set_wall_ms(10);
    const std::string id = ids.next();
    ASSERT_TRUE(is_run_id(id));
    ASSERT_GT(id, last);
    last = id;
  }
}

TEST(RunId, ids_grow_when_the_random_part_overflows) {
  ManualClock clock(5000);
  Ones random;
  RunIdGenerator ids(clock, random);
  const std::string first = ids.next();
  const std::string second = ids.next();
  EXPECT_GT(second, first);
  EXPECT_EQ(run_id_ms(second), 5001U);
}

TEST(RunId, anything_else_is_not_a_run_id) {
  const std::string good = "run_01aryz6s41tsv4rrffq69g5fav";
  ASSERT_TRUE(is_run_id(good));
  for (const std::string& bad :
       {std::string(), std::string("run_"), good + "0", good.substr(0, 29), "RUN_" + good.substr(4),
        "run-" + good.substr(4), std::string("run_81aryz6s41tsv4rrffq69g5fav"),
        std::string("run_01ARYZ6S41TSV4RRFFQ69G5FAV"),
        std::string("run_01aryz6s41tsv4rrffq69g5fai"),
        std::string("run_01aryz6s41tsv4rrffq69g5fau"),
        std::string("run_../../../../../../etc/pass"),
        std::string("run_01aryz6s41tsv4rrffq69g5fa\n")}) {
    EXPECT_FALSE(is_run_id(bad)) << bad;
  }
}

TEST(Name, accepts_what_is_safe_in_a_path_a_url_and_a_shell) {
  for (const auto good : {"a"sv, "0"sv, "stock-analyst"sv, "py3.11_x"sv, "a..b"sv})
    EXPECT_TRUE(is_name(good));
  EXPECT_TRUE(is_name(std::string(63, 'a')));
}

TEST(Name, refuses_everything_else_and_names_the_field) {
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("-a"), std::string("_a"),
        std::string("A"), std::string("a b"), std::string("a/b"), std::string("a\nb"),
        std::string("a\0b", 3), std::string("\xC3\xA9"), std::string(64, 'a')}) {
    EXPECT_FALSE(is_name(bad)) << bad;
  }
  EXPECT_THAT(check_name("agent", "A b").error().message,
              testing::StartsWith("agent: \"A b\" is not a name: use 1 to 63 of a-z"));
  EXPECT_TRUE(check_name("agent", "a").ok());
}

}  // namespace
}  // namespace tare
