#include "base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/text.h"

namespace tare {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

struct Case {
  std::string_view text;
  std::uint64_t value;
};

TEST(ParseSize, accepts_a_number_with_a_unit_of_1024) {
  constexpr Case kCases[] = {
      {"0", 0},
      {"100", 100},
      {"100B", 100},
      {"1K", 1024},
      {"64M", 64 * kMiB},
      {"1G", kGiB},
      {"512K", 512 * kKiB},
      {"2T", 2 * kTiB},
      {"1KiB", kKiB},
      {"1MiB", kMiB},
      {"1GiB", kGiB},
      {"1TiB", kTiB},
      {"1.5G", kGiB + kGiB / 2},
      {"0.5K", 512},
      {"1.1K", 1126},
      {"9223372036854775807", 9223372036854775807U},
      {"0.0M", 0},
      {"8388607T", 8388607 * kTiB},
      {"1.000000001G", kGiB + 1},
  };
  for (const auto& [text, value] : kCases) {
    const auto got = parse_size(text);
    ASSERT_TRUE(got.ok()) << text;
    EXPECT_EQ(*got, value) << text;
  }
}

TEST(ParseSize, refuses_everything_else_and_says_what_is_allowed) {
  for (const auto text : {""sv,
                          "M"sv,
                          "64m"sv,
                          "64MB"sv,
                          "64 M"sv,
                          " 64M"sv,
                          "64M "sv,
                          "+1"sv,
                          "-1"sv,
                          "1e3"sv,
                          "0x10"sv,
                          ".5G"sv,
                          "1."sv,
                          "1.G"sv,
                          "1.5"sv,
                          "1.5B"sv,
                          "1,5G"sv,
                          "1.5.5G"sv,
                          "64Mi"sv,
                          "64KIB"sv,
                          "1P"sv,
                          "9223372036854775808"sv,
                          "8388608T"sv,
                          "99999999999999999999"sv,
                          "1.0000000001G"sv,
                          "0.0001K"sv,
                          "64M\0"sv,
                          "inf"sv,
                          "nan"sv,
                          "\xFF"sv,
                          "6\n4M"sv}) {
    const auto got = parse_size(text);
    ASSERT_FALSE(got.ok()) << text;
    EXPECT_EQ(got.error().code, Errc::invalid);
    EXPECT_THAT(got.error().message, HasSubstr(quote(text)));
    EXPECT_THAT(got.error().message, HasSubstr("such as 512M"));
  }
}

TEST(ParseDuration, accepts_units_from_large_to_small) {
  constexpr Case kCases[] = {
      {"10s", 10'000},
      {"5m", 300'000},
      {"1h30m", 5'400'000},
      {"250ms", 250},
      {"0s", 0},
      {"1.5s", 1500},
      {"0.5h", 1'800'000},
      {"1d", 86'400'000},
      {"1d1h1m1s1ms", 90'061'001},
      {"90m", 5'400'000},
      {"1h5ms", 3'600'005},
  };
  for (const auto& [text, value] : kCases) {
    const auto got = parse_duration(text);
    ASSERT_TRUE(got.ok()) << text;
    EXPECT_EQ(*got, value) << text;
  }
}

TEST(ParseDuration, refuses_everything_else_and_says_what_is_allowed) {
  for (const auto text : {""sv,
                          "10"sv,
                          "s"sv,
                          "10S"sv,
                          "10 s"sv,
                          "10sec"sv,
                          "1m1h"sv,
                          "1s1s"sv,
                          "1h30"sv,
                          "-1s"sv,
                          "1.5ms"sv,
                          "1us"sv,
                          "1h.5m"sv,
                          "9223372036854775808ms"sv,
                          "106751991168d"sv,
                          "106751991167d8h"sv,
                          "0.00001s"sv,
                          "1s\0"sv,
                          "5 m"sv,
                          "1w"sv}) {
    const auto got = parse_duration(text);
    ASSERT_FALSE(got.ok()) << text;
    EXPECT_EQ(got.error().code, Errc::invalid);
    EXPECT_THAT(got.error().message, HasSubstr(quote(text)));
    EXPECT_THAT(got.error().message, HasSubstr("such as 10s"));
  }
}

TEST(FormatSize, is_exact) {
  EXPECT_EQ(format_size(0), "0");
  EXPECT_EQ(format_size(1025), "1025");
  EXPECT_EQ(format_size(1024), "1K");
  EXPECT_EQ(format_size(1536 * kMiB), "1536M");
  EXPECT_EQ(format_size(3 * kTiB), "3T");
}

TEST(FormatSize, rounded_shows_one_decimal_at_most) {
  EXPECT_EQ(format_size_rounded(0), "0B");
  EXPECT_EQ(format_size_rounded(1023), "1023B");
  EXPECT_EQ(format_size_rounded(1536), "1.5K");
  EXPECT_EQ(format_size_rounded(kMiB), "1M");
  EXPECT_EQ(format_size_rounded(243 * kKiB + 600), "243K");
  EXPECT_EQ(format_size_rounded(kGiB - 1), "1023M");
}

TEST(FormatDuration, is_exact) {
  EXPECT_EQ(format_duration(0), "0s");
  EXPECT_EQ(format_duration(250), "250ms");
  EXPECT_EQ(format_duration(1500), "1s500ms");
  EXPECT_EQ(format_duration(5'400'000), "1h30m");
  EXPECT_EQ(format_duration(86'400'000), "1d");
}

TEST(Bytes, what_is_formatted_parses_to_the_same_value) {
  SeededRandom random(3);
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t value = random.next_u64() >> (1 + random.below(63));
    ASSERT_EQ(parse_size(format_size(value)).value(), value);
    ASSERT_EQ(parse_duration(format_duration(value)).value(), value);
  }
}

TEST(Bytes, hostile_text_is_refused_or_within_bounds) {
  constexpr std::string_view kAlphabet = "0123456789.KMGTiBdhms- \n\xFF";
  SeededRandom random(4);
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random.below(24), ' ');
    for (char& c : text) c = kAlphabet[random.below(kAlphabet.size())];
    if (const auto size = parse_size(text); size.ok()) {
      ++accepted;
      ASSERT_LE(*size, 9223372036854775807U) << text;
    }
    if (const auto ms = parse_duration(text); ms.ok()) {
      ++accepted;
      ASSERT_LE(*ms, 9223372036854775807U) << text;
    }
  }
  EXPECT_GT(accepted, 100);  // the alphabet is close enough to the grammar to reach it
}

}  // namespace
}  // namespace tare
