#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

namespace tare {
namespace {

TEST(Random, the_same_seed_gives_the_same_bytes) {
  SeededRandom a(7);
  SeededRandom b(7);
  std::array<std::byte, 37> one{};
  std::array<std::byte, 37> two{};
  a.fill(one);
  b.fill(two);
  EXPECT_EQ(one, two);
}

TEST(Random, different_seeds_give_different_bytes) {
  SeededRandom a(7);
  SeededRandom b(8);
  EXPECT_NE(a.next_u64(), b.next_u64());
}

// Published first outputs of splitmix64 for the seed 1234567.
TEST(Random, the_seeded_source_is_splitmix64) {
  SeededRandom random(1234567);
  EXPECT_EQ(random.next_u64(), 6457827717110365317U);
  EXPECT_EQ(random.next_u64(), 3203168211198807973U);
}

TEST(Random, the_system_source_does_not_repeat_itself) {
  SystemRandom random;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.next_u64());
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(Random, the_system_source_fills_more_than_one_call_can_give) {
  SystemRandom random;
  std::vector<std::byte> out(100'000, std::byte{0});
  random.fill(out);
  std::size_t zeros = 0;
  for (const std::byte b : std::span(out).last(1000)) zeros += b == std::byte{0} ? 1U : 0U;
  EXPECT_LT(zeros, 100U);
}

TEST(Random, below_stays_below_and_reaches_every_value) {
  SeededRandom random(1);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t value = random.below(7);
    ASSERT_LT(value, 7U);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 7U);
}

}  // namespace
}  // namespace tare
