#include "base/check.h"

#include <gtest/gtest.h>

namespace tare {
namespace {

TEST(CheckDeathTest, a_broken_condition_ends_the_process_and_names_itself) {
  const int n = 3;
  EXPECT_DEATH(CHECK(n == 4), "check_test.cpp:[0-9]+: CHECK failed: n == 4");
}

TEST(Check, a_condition_that_holds_is_evaluated_once) {
  int evaluated = 0;
  CHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

}  // namespace
}  // namespace tare
