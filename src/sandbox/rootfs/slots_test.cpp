#include "sandbox/rootfs/slots.h"

#include <set>

#include "sandbox/plan/plan.h"

namespace tare::sandbox {
namespace {

TEST(Slots, no_slot_is_leased_twice_at_a_time) {
  SlotTable table(0);
  std::set<std::uint32_t> indices;
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i) {
    const auto slot = table.lease();
    ASSERT_TRUE(slot);
    EXPECT_TRUE(indices.insert(slot->index).second);
  }
}

TEST(Slots, that_share_the_one_range_of_a_user_namespace_all_begin_at_0) {
  SlotTable table = SlotTable::shared();
  EXPECT_EQ(table.first_uid(), 0U);
  const Slot one = table.lease().value();
  const Slot other = table.lease().value();
  EXPECT_NE(one.index, other.index);
  EXPECT_EQ(one.base, 0U);
  EXPECT_EQ(other.base, 0U);
}

TEST(Slots, their_uid_ranges_touch_neither_each_other_nor_another_blocks) {
  SlotTable table(3);
  const uid_t first = kFirstUid + 3 * kSlotsPerBlock * kIdRange;
  EXPECT_EQ(table.first_uid(), first);
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i) {
    const auto slot = table.lease();
    ASSERT_TRUE(slot);
    EXPECT_EQ(slot->base, first + slot->index * kIdRange);
    EXPECT_LT(slot->base, first + kSlotsPerBlock * kIdRange);
  }
}

TEST(Slots, the_last_block_ends_below_the_last_uid) {
  SlotTable table(kUidBlocks - 1);
  const std::uint64_t end = std::uint64_t{table.first_uid()} +
                            std::uint64_t{kSlotsPerBlock} * kIdRange;
  EXPECT_LE(end, std::uint64_t{0xFFFF'0000});
}

TEST(Slots, one_that_was_given_back_rests_while_others_are_leased) {
  SlotTable table(0);
  const auto first = table.lease();
  ASSERT_TRUE(first);
  table.give_back(*first);
  int others = 0;
  for (;; ++others) {
    const auto slot = table.lease();
    ASSERT_TRUE(slot);
    const bool again = slot->index == first->index;
    table.give_back(*slot);
    if (again) break;
    ASSERT_LT(others, 1000) << "few slots are to be used often";
  }
  EXPECT_GE(others, 16);
}

TEST(Slots, the_one_that_rested_longest_is_leased_next) {
  SlotTable table(0);
  std::vector<Slot> leased;
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i) leased.push_back(table.lease().value());
  for (const std::uint32_t index : {7U, 3U, 900U}) table.give_back(leased[index]);
  for (const std::uint32_t index : {7U, 3U, 900U}) EXPECT_EQ(table.lease()->index, index);
}

TEST(Slots, when_all_are_leased_the_next_is_refused_until_one_is_given_back) {
  SlotTable table(0);
  Slot last;
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i) last = table.lease().value();
  const auto refused = table.lease();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exhausted);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("2048"));
  table.give_back(last);
  EXPECT_EQ(table.lease()->index, last.index);  // out of need, without a rest
}

TEST(Slots, each_lease_of_a_slot_has_another_generation) {
  SlotTable table(0);
  std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
  for (int i = 0; i < 3000; ++i) {
    const auto slot = table.lease();
    ASSERT_TRUE(slot);
    EXPECT_GE(slot->generation, 1U);
    EXPECT_TRUE(seen.emplace(slot->index, slot->generation).second);
    table.give_back(*slot);
  }
}

TEST(Slots, giving_one_back_twice_is_a_bug) {
  SlotTable table(0);
  Slot slot;
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i) slot = table.lease().value();
  table.give_back(slot);
  (void)table.lease().value();  // the same one, another generation
  EXPECT_DEATH(table.give_back(slot), "");
}

TEST(SlotLease, gives_its_slot_back_when_it_goes_and_only_then) {
  SlotTable table(0);
  std::vector<SlotLease> leases;
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i)
    leases.push_back(SlotLease::take(table).value());
  EXPECT_FALSE(SlotLease::take(table));
  SlotLease moved = std::move(leases.back());
  leases.pop_back();
  EXPECT_FALSE(SlotLease::take(table));
  {
    const SlotLease gone = std::move(moved);
  }
  EXPECT_TRUE(SlotLease::take(table));
}

TEST(SlotLease, a_retired_slot_is_never_leased_again) {
  SlotTable table(0);
  std::vector<SlotLease> leases;
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i)
    leases.push_back(SlotLease::take(table).value());
  leases.back().retire();
  leases.pop_back();
  EXPECT_FALSE(SlotLease::take(table));
}

}  // namespace
}  // namespace tare::sandbox
