#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace tare {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{Errc::invalid, "odd"};
  return n / 2;
}

Result<int> quarter(int n) { return TRY(half(TRY(half(n)))); }

TEST(Result, holds_a_value_or_an_error) {
  EXPECT_EQ(half(4).value(), 2);
  EXPECT_TRUE(half(4).ok());
  EXPECT_FALSE(half(3));
  EXPECT_EQ(half(3).error().message, "odd");
  EXPECT_EQ(half(3).value_or(9), 9);
  EXPECT_EQ(half(8).value_or(9), 4);
}

TEST(Result, try_passes_the_value_on_or_returns_the_error) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().code, Errc::invalid);
}

TEST(Result, try_moves_values_that_cannot_be_copied) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const auto use = [&]() -> Result<int> {
    const std::unique_ptr<int> owned = TRY(make());
    return *owned;
  };
  EXPECT_EQ(use().value(), 7);
}

TEST(Result, an_empty_result_is_success) {
  const auto check = [](bool good) -> Result<> {
    TRY(good ? ok() : Result<>(Error{Errc::denied, "no"}));
    return ok();
  };
  EXPECT_TRUE(check(true).ok());
  EXPECT_EQ(check(false).error().code, Errc::denied);
}

TEST(Result, context_goes_in_front_of_the_message) {
  EXPECT_EQ(half(3).context("memory").context("limits").error().message, "limits: memory: odd");
  EXPECT_EQ(half(4).context("memory").value(), 2);
}

TEST(ResultDeathTest, taking_the_value_of_an_error_is_a_bug) {
  EXPECT_DEATH((void)half(3).value(), "CHECK failed");
  EXPECT_DEATH((void)half(4).error(), "CHECK failed");
}

}  // namespace
}  // namespace tare
