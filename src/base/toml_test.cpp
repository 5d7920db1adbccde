#include "base/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/random.h"
#include "base/text.h"

namespace tare {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;
using testing::StartsWith;

Result<TomlDocument> parse(std::string_view text) {
  return TomlDocument::parse(text, "agent.toml");
}
std::string refusal(std::string_view text) {
  const auto document = parse(text);
  return document.ok() ? "accepted" : document.error().message;
}

TEST(Toml, becomes_json) {
  const auto document = parse(R"(
name = "x"
count = -3
share = 0.5
on = true
list = ["a", [1, 2], {k = 'v'}]
odd."key one" = 1
[limits]
memory = "512M"
[[trigger]]
at = 1
[[trigger]]
at = 2
)");
  ASSERT_TRUE(document.ok()) << document.error().message;
  EXPECT_EQ(canonical_text(document->value()),
            R"({"count":-3,"limits":{"memory":"512M"},"list":["a",[1,2],{"k":"v"}],"name":"x",)"
            R"("odd":{"key one":1},"on":true,"share":0.5,"trigger":[{"at":1},{"at":2}]})");
}

TEST(Toml, every_place_has_its_line) {
  const auto document =
      parse("a = 1\n\n[limits]\nmemory = 1\nlist = [\n  1,\n  2,\n]\n[[t]]\n\"x y\" = {b.c = 1}\n")
          .value();
  const auto key = [](std::string_view name) { return PathPart{name, 0, true}; };
  const auto index = [](std::size_t i) { return PathPart{{}, i, false}; };
  EXPECT_EQ(document.locate({key("a")}), "agent.toml:1");
  EXPECT_EQ(document.locate({key("limits")}), "agent.toml:3");
  EXPECT_EQ(document.locate({key("limits"), key("memory")}), "agent.toml:4");
  EXPECT_EQ(document.locate({key("limits"), key("list"), index(1)}), "agent.toml:7");
  EXPECT_EQ(document.locate({key("t"), index(0), key("x y"), key("b"), key("c")}), "agent.toml:10");
  EXPECT_EQ(document.locate({key("limits"), key("missing")}), "agent.toml:3");
  EXPECT_EQ(document.locate({key("missing")}), "agent.toml");
  EXPECT_EQ(document.locate({}), "agent.toml");
}

TEST(Toml, faults_are_told_with_line_and_column) {
  struct Case {
    std::string_view text, message;
  };
  constexpr Case kCases[] = {
      {"a = 1\nb = \n", "agent.toml:2:5: expected a value"},
      {"a = 1\na = 2\n", "agent.toml:2:3: \"a\" is defined already, in line 1"},
      {"a = \"x\ny\"\n", "agent.toml:1:7: the text in quotes does not end"},
      {"a = 'x", "agent.toml:1:7: the text in quotes does not end"},
      {"a = '''x\ny", "agent.toml:2:2: the text in quotes does not end"},
      {"a = 1 b = 2", "agent.toml:1:7: expected the end of the line"},
      {"a 1", "agent.toml:1:3: expected ="},
      {"a", "agent.toml:1:2: expected ="},
      {"= 1", "agent.toml:1:1: expected a key"},
      {"a. = 1", "agent.toml:1:4: expected a key"},
      {"\xC3\xA9 = 1", "agent.toml:1:1: expected a key"},
      {"\xEF\xBB\xBF"
       "a = 1",
       "agent.toml:1:1: expected a key"},
      {"'''a''' = 1", "agent.toml:1:1: a key cannot have several lines"},
      {"[a", "agent.toml:1:3: expected ]"},
      {"[[a]", "agent.toml:1:4: expected ]]"},
      {"[]", "agent.toml:1:2: expected a key"},
      {"[}", "agent.toml:1:2: expected a key"},
  };
  for (const auto& [text, message] : kCases) {
    EXPECT_THAT(refusal(text), StartsWith(std::string(message))) << text;
  }
}

TEST(Toml, what_is_defined_twice_is_told_with_line_and_column) {
  struct Case {
    std::string_view text, message;
  };
  constexpr Case kCases[] = {
      {"[a]\nb = 1\n[a]", "agent.toml:3:4: \"a\" is defined already, in line 1"},
      {"[[a]]\n[a]", "agent.toml:2:4: \"a\" is defined already, in line 1"},
      {"a = []\n[[a]]", "agent.toml:2:6: \"a\" is defined already, in line 1"},
      {"a.b = 1\na = 2", "agent.toml:2:3: \"a\" is defined already, in line 1"},
      {"a.b = 1\n[a]", "agent.toml:2:4: \"a\" is defined already, in line 1"},
      {"a = 1\na.b = 2", "agent.toml:2:5: \"a\" is defined already, in line 1"},
      {"a = {}\na.b = 2", "agent.toml:2:5: \"a\" is defined already, in line 1"},
      {"a = {}\n[a.b]", "agent.toml:2:6: \"a\" is no table that could be added to"},
      {"a = [{}]\n[a.b]", "agent.toml:2:6: \"a\" is no table that could be added to"},
      {"[a.b]\n[a]\nb.c = 1", "agent.toml:3:5: \"b\" is defined already, in line 1"},
  };
  for (const auto& [text, message] : kCases) {
    EXPECT_THAT(refusal(text), StartsWith(std::string(message))) << text;
  }
}

TEST(Toml, faulty_values_are_told_with_line_and_column) {
  struct Case {
    std::string_view text, message;
  };
  constexpr Case kCases[] = {
      {"a = {b = 1,}", "agent.toml:1:12: expected a key"},
      {"a = {b = 1", "agent.toml:1:11: expected , or }"},
      {"a = {b = 1\n}", "agent.toml:1:11: expected , or }"},
      {"a = {b = 1, b = 2}", "agent.toml:1:15: \"b\" is defined already, in line 1"},
      {"a = [1 2]", "agent.toml:1:8: expected , or ]"},
      {"a = [,]", "agent.toml:1:6: expected a value"},
      {"a = [}", "agent.toml:1:6: expected a value"},
  };
  for (const auto& [text, message] : kCases) {
    EXPECT_THAT(refusal(text), StartsWith(std::string(message))) << text;
  }
}

TEST(Toml, faulty_text_is_told_with_line_and_column) {
  struct Case {
    std::string_view text, message;
  };
  constexpr Case kCases[] = {
      {"a = \"\\q\"", "agent.toml:1:6: unknown escape; allowed: \\b"},
      {"a = \"\\uD800\"", "agent.toml:1:8: expected 4 hexadecimal digits of a Unicode character"},
      {"a = \"\\U00110000\"",
       "agent.toml:1:8: expected 8 hexadecimal digits of a Unicode character"},
      {"a = \"\\u12\"", "agent.toml:1:8: expected 4 hexadecimal"},
      {"a = \"\\u-123\"", "agent.toml:1:8: expected 4 hexadecimal"},
      {"a = 1\r", "agent.toml:1:6: a carriage return without a newline"},
      {"# \x01", "agent.toml:1:3: a control character in a comment"},
      {"a = '\x7F'", "agent.toml:1:6: a control character in quotes"},
      {"a = yes", "agent.toml:1:5: \"yes\" is not a value: text needs quotes"},
      {"a = \x1b[31m", "agent.toml:1:5: expected a value"},
      {"d = 2026-01-01", "agent.toml:1:5: dates and times are not used here; write text in quotes"},
      {"d = 07:32:00", "agent.toml:1:5: dates and times"},
      {"d = [2026-01-01T00:00:00Z]", "agent.toml:1:6: dates and times"},
      {"d = inf", "agent.toml:1:5: \"inf\" is not a value"},
      {"d = -nan", "agent.toml:1:5: \"-nan\" is not a value"},
      {"a = \xFF", "agent.toml: not valid UTF-8"},
  };
  for (const auto& [text, message] : kCases)
    EXPECT_THAT(refusal(text), StartsWith(std::string(message))) << text;
}

TEST(Toml, numbers_are_read_as_the_specification_says) {
  struct Case {
    std::string_view text;
    Json value;
  };
  const Case kCases[] = {
      {"0", 0},
      {"+99", 99},
      {"-17", -17},
      {"1_000", 1000},
      {"5_349_221", 5349221},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()},
      {"0xDEAD_beef", 0xDEADBEEF},
      {"0o755", 0755},
      {"0b1101", 13},
      {"-0", 0},
      {"3.1415", 3.1415},
      {"-0.01", -0.01},
      {"5e+22", 5e22},
      {"1e06", 1e06},
      {"-2E-2", -2e-2},
      {"6.626e-34", 6.626e-34},
      {"224_617.445_991", 224617.445991},
      {"+1.0", 1.0},
      {"1e1_0", 1e10},
      {"true", true},
      {"false", false},
  };
  for (const auto& [text, value] : kCases) {
    const auto document = parse("a = " + std::string(text));
    ASSERT_TRUE(document.ok()) << document.error().message;
    EXPECT_EQ(document->value().at("a"), value) << text;
  }
}

TEST(Toml, other_spellings_of_numbers_are_refused) {
  for (const std::string_view bad :
       // clang-format off
       {"01", "-01", "+", "-", "_1", "1_", "1__0", "0x", "0x_1", "0xg", "+0x1", "0X1", "0o8", "0b2",
        "1.", ".1", "1._0", "1e", "1e+", "1e1.0", "1.e1", "--1", "1-1", "9223372036854775808",
        "0x8000000000000000", "1e999", "True", "TRUE", "truefalse", "1.2.3",
        "00.1", "0_0.1", "1e_1", "1e+-1"}) {
    // clang-format on
    EXPECT_THAT(refusal("a = " + std::string(bad)), HasSubstr("is not a value")) << bad;
  }
}

TEST(Toml, text_is_read_as_the_specification_says) {
  struct Case {
    std::string_view text, value;
  };
  constexpr Case kCases[] = {
      {R"("")", ""},
      {R"("a\tb\"c\\d\u00e9\U0001F600")", "a\tb\"c\\d\xC3\xA9\xF0\x9F\x98\x80"},
      {R"('C:\x "q"')", "C:\\x \"q\""},
      {"\"\"\"\na\r\nb\"\"\"", "a\nb"},
      {"\"\"\"a\\\n   \n  b\"\"\"", "ab"},
      {"\"\"\"a\\  \r\n  b\"\"\"", "ab"},
      {"\"\"\"a\"\"\"\"\"", "a\"\""},
      {"'''\n'a' \\'''''", "'a' \\''"},
      {"\"\"\"\"\"\"", ""},
      {"\"\"\"a \"\" b\"\"\"", "a \"\" b"},
  };
  for (const auto& [text, value] : kCases) {
    const auto document = parse("a = " + std::string(text));
    ASSERT_TRUE(document.ok()) << text << document.error().message;
    EXPECT_EQ(document->value().at("a").as_string(), value) << text;
  }
}

TEST(Toml, tables_are_built_as_the_specification_says) {
  struct Case {
    std::string_view text, json;
  };
  constexpr Case kCases[] = {
      {"", "{}"},
      {"\n # x\r\n\t\n", "{}"},
      {"a.b.c = 1\na.b.d = 2\na.'x.y' = 3", R"({"a":{"b":{"c":1,"d":2},"x.y":3}})"},
      {"[a.b]\nx = 1\n[a]\ny = 2", R"({"a":{"b":{"x":1},"y":2}})"},
      {"[ a . 'b' ]", R"({"a":{"b":{}}})"},
      {"[fruit]\napple.colour = 1\n[fruit.apple.taste]\nsweet = true",
       R"({"fruit":{"apple":{"colour":1,"taste":{"sweet":true}}}})"},
      {"[[a]]\nx = 1\n[[a]]\n[a.b]\ny = 2\n[[a.c]]\n[[a.c]]",
       R"({"a":[{"x":1},{"b":{"y":2},"c":[{},{}]}]})"},
      {"a = {b.c = 1, b.d = [{}, []], e = ''}", R"({"a":{"b":{"c":1,"d":[{},[]]},"e":""}})"},
      {"a = [ # c\n 1, # d\n\n 2 # e\n ,\n]", R"({"a":[1,2]})"},
      {"1234 = 1\n\"\" = 2\n- = 3", R"({"":2,"-":3,"1234":1})"},
  };
  for (const auto& [text, json] : kCases) {
    const auto document = parse(text);
    ASSERT_TRUE(document.ok()) << text << document.error().message;
    EXPECT_EQ(canonical_text(document->value()), json) << text;
  }
}

TEST(Toml, an_error_never_holds_a_control_character) {
  const std::string message = refusal("a = \x1b[31m\n");
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
}

TEST(Toml, nesting_is_limited_in_every_way_it_can_be_written) {
  std::string dotted = "a";
  for (int i = 0; i < 30'000; ++i) dotted += ".a";
  std::string tables = "1";
  for (int i = 0; i < 200; ++i) tables = "{a.b.c = " + tables + "}";
  std::string headers;
  for (int i = 0; i < 12; ++i) {
    headers += "[[a";
    for (int j = 0; j < i; ++j) headers += ".a";
    headers += "]]\n";
  }
  for (const std::string& text :
       {dotted + " = 1", "[" + dotted + "]", "[[" + dotted + "]]", "x = {" + dotted + " = 1}",
        "x = " + std::string(30'000, '[') + std::string(30'000, ']'), "x = " + tables, headers,
        std::string("a.b.c.d.e.f.g.h = {a.b.c.d.e.f.g.h.i = 1}")}) {
    EXPECT_THAT(refusal(text), HasSubstr("nested more than 16 levels deep")) << text.substr(0, 40);
  }
  EXPECT_EQ(refusal("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p = 1"), "accepted");
  EXPECT_EQ(refusal("a = [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]"), "accepted");
}

TEST(Toml, dots_in_text_and_comments_do_not_count_as_nesting) {
  const std::string dots(100, '.');
  EXPECT_EQ(refusal("a = \"" + dots + "\"\nb = '" + dots + "'\nc = \"\"\"\n" + dots + "\"\"\" # " +
                    dots + "\n"),
            "accepted");
}

TEST(Toml, size_is_limited) {
  EXPECT_EQ(refusal(std::string(kMaxTomlBytes, '\n')), "accepted");
  const auto large = parse(std::string(kMaxTomlBytes + 1, '\n'));
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code, Errc::exhausted);
}

TEST(Toml, damaged_documents_never_do_harm) {
  constexpr std::string_view kGood =
      "name = \"x\"\nentry = ['a', \"\"\"b\"\"\"]\na.b.c = 1.5\n[limits]\nmemory = \"1M\" # "
      "c\n[[t]]\nx = {y = 1}\n";
  ASSERT_TRUE(parse(kGood).ok());
  constexpr std::string_view kMarks = "\"'[]{}=.,#\n\\ -e0x\xFF";
  SeededRandom random(41);
  for (int i = 0; i < 5000; ++i) {
    std::string text(kGood);
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
      const std::size_t at = random.below(text.size());
      const char mark = kMarks[random.below(kMarks.size())];
      random.below(2) == 0 ? text[at] = mark
                           : *text.insert(text.begin() + static_cast<std::ptrdiff_t>(at), mark);
    }
    const auto document = parse(text);
    if (document.ok()) {
      ASSERT_TRUE(parse_json(to_text(document->value())).ok());
    } else {
      ASSERT_TRUE(is_utf8(document.error().message)) << text;
      ASSERT_THAT(document.error().message, StartsWith("agent.toml:"));
    }
  }
}

}  // namespace
}  // namespace tare
