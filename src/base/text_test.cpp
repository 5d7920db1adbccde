#include "base/text.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tare {
namespace {

using namespace std::string_view_literals;

TEST(Text, valid_utf8_is_told_from_invalid) {
  for (const auto good : {""sv, "a"sv, "\xC3\xA9"sv, "\xE2\x82\xAC"sv, "\xF0\x9F\x98\x80"sv,
                          "a\0b"sv, "\xED\x9F\xBF"sv, "\xF4\x8F\xBF\xBF"sv}) {
    EXPECT_TRUE(is_utf8(good)) << quote(good);
  }
  for (const auto bad : {"\x80"sv, "\xC0\xAF"sv, "\xC1\xBF"sv, "\xC3"sv, "\xE2\x82"sv,
                         "\xE0\x9F\xBF"sv, "\xED\xA0\x80"sv, "\xF0\x8F\xBF\xBF"sv,
                         "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "a\xFF"sv}) {
    EXPECT_FALSE(is_utf8(bad)) << quote(bad);
  }
}

TEST(Text, a_quote_shows_what_cannot_be_printed) {
  EXPECT_EQ(quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(quote("1\n2\r3\t4"), R"("1\n2\r3\t4")");
  EXPECT_EQ(quote("\0\x1b\x7f"sv), R"("\u0000\u001b\u007f")");
  EXPECT_EQ(quote("x\xFFy"), "\"x\xEF\xBF\xBDy\"");
  EXPECT_EQ(quote("\xC3\xA9"), "\"\xC3\xA9\"");
}

TEST(Text, a_long_quote_is_cut_at_a_character) {
  const std::string cut = quote(std::string(kMaxQuotedBytes - 1, 'a') + "\xC3\xA9");
  EXPECT_EQ(cut, "\"" + std::string(kMaxQuotedBytes - 1, 'a') + "...\"");
  EXPECT_EQ(quote(std::string(kMaxQuotedBytes, 'a')).find("..."), std::string::npos);
}

TEST(Text, any_bytes_become_valid_text_without_control_characters) {
  SeededRandom random(11);
  for (int round = 0; round < 2000; ++round) {
    std::string input(random.below(80), '\0');
    for (char& c : input) c = static_cast<char>(random.next_u64());
    const std::string out = quote(input);
    ASSERT_TRUE(is_utf8(out));
    for (const char c : out) ASSERT_GE(static_cast<unsigned char>(c), 0x20U);
  }
}

TEST(Text, is_split_at_each_separator) {
  using Pieces = std::vector<std::string_view>;
  EXPECT_EQ(split("a:bc", ':'), (Pieces{"a", "bc"}));
  EXPECT_EQ(split("", ':'), (Pieces{""}));
  EXPECT_EQ(split(":", ':'), (Pieces{"", ""}));
  EXPECT_EQ(split("/usr//bin/", '/'), (Pieces{"", "usr", "", "bin", ""}));
}

TEST(Text, items_are_joined_with_commas) {
  EXPECT_EQ(joined({}), "");
  EXPECT_EQ(joined({"a"}), "a");
  EXPECT_EQ(joined({"a", "b", "c"}), "a, b, c");
}

}  // namespace
}  // namespace tare
