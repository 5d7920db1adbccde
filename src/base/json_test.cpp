#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/random.h"
#include "base/text.h"

namespace tare {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

std::string again(std::string_view text) {
  auto value = parse_json(text);
  return value.ok() ? to_text(*value) : "refused: " + value.error().message;
}

TEST(Json, valid_documents_come_back_the_same) {
  for (const auto text : {"null"sv, "true"sv, "false"sv, "0"sv, "-1"sv, "18446744073709551615"sv,
                          "-9223372036854775808"sv, "1.5"sv, R"("")"sv, R"("a\"b\\\n\u0001")"sv,
                          "[]"sv, "{}"sv, R"([1,[2,{"a":[]}],"x"])"sv,
                          R"({"b":1,"a":{"c":null,"d":"\u0000"}})"sv, "\"\xF0\x9F\x98\x80\""sv}) {
    EXPECT_EQ(again(text), text);
  }
  EXPECT_EQ(again(" { \"a\" : [ 1 , 2 ] } \n"), R"({"a":[1,2]})");
  EXPECT_EQ(again(R"("\ud83d\ude00")"), "\"\xF0\x9F\x98\x80\"");
}

TEST(Json, anything_else_is_refused) {
  for (const auto text : {""sv,
                          " "sv,
                          "nul"sv,
                          "tru e"sv,
                          "01"sv,
                          "+1"sv,
                          "1."sv,
                          ".5"sv,
                          "0x1"sv,
                          "NaN"sv,
                          "Infinity"sv,
                          "1e999"sv,
                          "'a'"sv,
                          "\"a"sv,
                          "\"\\x\""sv,
                          "\"\n\""sv,
                          "\"\xFF\""sv,
                          "\"\xED\xA0\x80\""sv,
                          R"("\ud83d")"sv,
                          "[1,]"sv,
                          "[1 2]"sv,
                          "[1"sv,
                          "{"sv,
                          R"({"a"})"sv,
                          R"({"a":1,})"sv,
                          R"({a:1})"sv,
                          "// x\n1"sv,
                          "1 2"sv,
                          "{}{}"sv,
                          "\xEF\xBB\xBF{}"sv,
                          "1\0"sv,
                          "]"sv}) {
    const auto value = parse_json(text);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().code, Errc::invalid);
    EXPECT_THAT(value.error().message, testing::StartsWith("not valid JSON: line "));
  }
}

TEST(Json, numbers_with_a_fraction_are_read_exactly) {
  EXPECT_EQ(parse_json("100000000001090374158.1111111111").value(),
            Json(100000000001090374158.1111111111));
  EXPECT_EQ(parse_json("-2.2250738585072014e-308").value(), Json(-2.2250738585072014e-308));
  EXPECT_FALSE(parse_json("1e-9999").ok());
  SeededRandom random(33);
  for (int i = 0; i < 5000; ++i) {
    const double value = std::bit_cast<double>(random.next_u64());
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(parse_json(to_text(Json(value))).value(), Json(value)) << to_text(Json(value));
  }
}

TEST(Json, a_fault_is_told_with_line_and_column) {
  EXPECT_THAT(parse_json("{\n  \"a\": x\n}").error().message, HasSubstr("line 2, column 8: "));
}

TEST(Json, a_repeated_key_is_refused_at_any_depth) {
  EXPECT_THAT(parse_json(R"({"a":1,"b":2,"a":3})").error().message,
              HasSubstr(R"(the key "a" is there twice)"));
  EXPECT_THAT(parse_json(R"([{"x":{"k":1,"\u006b":2}}])").error().message,
              HasSubstr(R"(key "k" is there twice)"));
  EXPECT_TRUE(parse_json(R"([{"a":1},{"a":2},{"b":{"a":3}}])").ok());
}

TEST(Json, nesting_and_size_are_limited) {
  const std::string deep = std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']');
  EXPECT_TRUE(parse_json(deep).ok());
  EXPECT_FALSE(parse_json("[" + deep + "]").ok());
  EXPECT_FALSE(parse_json(std::string(kMaxJsonBodyBytes, '[')).ok());
  const auto large = parse_json(std::string(kMaxJsonBodyBytes + 1, ' '));
  EXPECT_EQ(large.error().code, Errc::exhausted);
  EXPECT_EQ(parse_json("[1,2]", {.max_bytes = 4}).error().message,
            "JSON of 5 bytes: at most 4 are allowed");
}

TEST(Json, canonical_text_does_not_depend_on_the_order_of_keys) {
  const auto a = parse_json(R"({"b":[{"y":1,"x":2}],"a":1})").value();
  const auto b = parse_json(R"({"a":1,"b":[{"x":2,"y":1}]})").value();
  EXPECT_NE(to_text(a), to_text(b));
  EXPECT_EQ(canonical_text(a), R"({"a":1,"b":[{"x":2,"y":1}]})");
  EXPECT_EQ(canonical_text(a), canonical_text(b));
}

TEST(Json, pretty_text_is_indented_and_parses_to_the_same) {
  const auto value = parse_json(R"({"a":[1,{}],"b":[]})").value();
  EXPECT_EQ(pretty_text(value), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}\n");
  EXPECT_EQ(parse_json(pretty_text(value)).value(), value);
}

TEST(Json, what_is_written_is_always_valid_json) {
  EXPECT_EQ(to_text(Json("a\xFF")), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(to_text(Json(std::numeric_limits<double>::infinity())), "null");
}

Json random_json(SeededRandom& random, int depth) {
  switch (random.below(depth > 0 ? 8 : 6)) {
    case 0: return nullptr;
    case 1: return random.below(2) == 0;
    case 2: return static_cast<std::int64_t>(random.next_u64());
    case 3: return (std::uint64_t{1} << 63) + random.below(1000);
    case 4: return static_cast<double>(random.below(1'000'000)) / 1024 + 0.0625;
    case 5: return Json(std::string(random.below(5), static_cast<char>(random.below(128))));
    case 6: {
      JsonArray array;
      for (std::uint64_t i = random.below(4); i > 0; --i)
        array.push_back(random_json(random, depth - 1));
      return array;
    }
    default: {
      JsonObject object;
      for (std::uint64_t i = random.below(4); i > 0; --i) {
        object[fmt::format("k{}", random.below(100))] = random_json(random, depth - 1);
      }
      return object;
    }
  }
}

TEST(Json, any_value_survives_writing_and_parsing) {
  SeededRandom random(31);
  for (int i = 0; i < 3000; ++i) {
    const Json value = random_json(random, 5);
    ASSERT_EQ(parse_json(to_text(value)).value(), value) << to_text(value);
    ASSERT_EQ(parse_json(pretty_text(value)).value(), value);
    ASSERT_EQ(canonical_text(parse_json(canonical_text(value)).value()), canonical_text(value));
  }
}

TEST(Json, damaged_documents_never_do_harm) {
  SeededRandom random(32);
  for (int i = 0; i < 5000; ++i) {
    std::string text = to_text(random_json(random, 4));
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    if (const auto value = parse_json(text); value.ok()) {
      ASSERT_TRUE(is_utf8(to_text(*value)));
    } else {
      ASSERT_TRUE(is_utf8(value.error().message));
    }
  }
}

}  // namespace
}  // namespace tare
