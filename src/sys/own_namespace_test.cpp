#include "sys/own_namespace.h"

#include <gtest/gtest.h>

namespace tare::sys {
namespace {

TEST(SubordinateIds, are_those_of_exactly_this_user_by_name_or_number) {
  const char* text = "tared:1:2\ntare:x:5\ntare:100000:0\ntare:231072:65536\ntare:7:8\n42:9:10\n";
  const auto range = subordinate_ids(text, "tare", 7);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 231072U);
  EXPECT_EQ(range->count, 65536U);
  ASSERT_TRUE(subordinate_ids(text, "ann", 42));
  EXPECT_EQ(subordinate_ids(text, "ann", 42)->count, 10U);
  EXPECT_FALSE(subordinate_ids(text, "tar", 4));
}

TEST(SubordinateIds, of_any_other_text_are_none) {
  for (const char* text :
       {"", "\n", ":1:2\n", "tare\n", "tare:\n", "tare:1\n", "tare:1:\n", "tare::2\n",
        "tare:1:2:3\n", "tare:-1:2\n", "tare:1: 2\n", "tare:18446744073709551616:2\n"})
    EXPECT_FALSE(subordinate_ids(text, "tare", 7)) << text;
}

}  // namespace
}  // namespace tare::sys
