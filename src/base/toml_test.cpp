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

Result<TomlDocument> parse(std::string_view text) { return TomlDocument::parse(text, "agent.toml"); }
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

TEST(Toml, every_path_has_its_line) {
  const auto document = parse("a = 1\n\n[limits]\nmemory = 1\nlist = [\n  1,\n  2,\n]\n[[t]]\n\"x y\" = 1\n").value();
  EXPECT_EQ(document.locate("a"), "agent.toml:1");
  EXPECT_EQ(document.locate("limits"), "agent.toml:3");
  EXPECT_EQ(document.locate("limits.memory"), "agent.toml:4");
  EXPECT_EQ(document.locate("limits.list[1]"), "agent.toml:7");
  EXPECT_EQ(document.locate("t[0][\"x y\"]"), "agent.toml:10");
  EXPECT_EQ(document.locate("limits.missing"), "agent.toml:3");
  EXPECT_EQ(document.locate("missing"), "agent.toml");
  EXPECT_EQ(document.locate(""), "agent.toml");
}

TEST(Toml, faults_are_told_with_line_and_column) {
  EXPECT_THAT(refusal("a = 1\nb = \n"), StartsWith("agent.toml:2:"));
  EXPECT_THAT(refusal("a = 1\na = 2\n"), StartsWith("agent.toml:2:"));
  EXPECT_THAT(refusal("a = \"x\ny\"\n"), StartsWith("agent.toml:"));
  EXPECT_EQ(refusal("x = 1\nd = 2026-01-01\n"), "agent.toml:2:5: dates and times are not used here; write text");
  EXPECT_THAT(refusal("d = 07:32:00"), HasSubstr("dates and times"));
  EXPECT_THAT(refusal("d = [2026-01-01T00:00:00Z]"), HasSubstr("agent.toml:1:6: dates and times"));
  EXPECT_EQ(refusal("d = inf"), "agent.toml:1:5: inf and nan are not allowed");
  EXPECT_EQ(refusal("d = -nan"), "agent.toml:1:5: inf and nan are not allowed");
}

TEST(Toml, hostile_text_is_refused_without_harm) {
  for (const auto text : {"a"sv, "="sv, "= 1"sv, "[a"sv, "[]"sv, "[a]\n[a]"sv, "a.b = 1\na = 2"sv, "a = 1 b = 2"sv,
                          "a = 'x"sv, "a = \"\\q\""sv, "a = \"\xFF\""sv, "a = 1\0"sv, "a = {b = 1"sv,
                          "a = 99999999999999999999"sv, "a = \"\"\"x"sv, "\xFE\xFF"sv}) {
    const std::string message = refusal(text);
    EXPECT_THAT(message, StartsWith("agent.toml:")) << text;
    EXPECT_TRUE(is_utf8(message));
  }
}

TEST(Toml, an_error_never_holds_a_control_character) {
  const std::string message = refusal("a = \x1b[31m\n");
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
}

TEST(Toml, nesting_is_limited_in_every_way_it_can_be_written) {
  std::string dotted = "a";
  for (int i = 0; i < 30'000; ++i) dotted += ".a";
  EXPECT_THAT(refusal("x = 1\n" + dotted + " = 1"), StartsWith("agent.toml:2: a key with more than 16 parts"));
  EXPECT_THAT(refusal("[" + dotted + "]"), HasSubstr("more than 16 parts"));
  EXPECT_THAT(refusal("[[" + dotted + "]]"), HasSubstr("more than 16 parts"));
  EXPECT_THAT(refusal("x = {" + dotted + " = 1}"), HasSubstr("more than 16 parts"));
  EXPECT_THAT(refusal("x = \"\"\"\"\"\"\n" + dotted + " = 1"), HasSubstr("more than 16 parts"));
  EXPECT_THAT(refusal("x = \"\"\"a\"\"\"\"\"\n" + dotted + " = 1"), HasSubstr("more than 16 parts"));
  EXPECT_THAT(refusal("x = ''\ny = \"\\\"\" # '\n" + dotted + " = 1"), HasSubstr("more than 16 parts"));
  EXPECT_NE(refusal("x = " + std::string(30'000, '[') + std::string(30'000, ']')), "accepted");
  std::string inline_tables = "1";
  for (int i = 0; i < 200; ++i) inline_tables = "{a.b.c = " + inline_tables + "}";
  EXPECT_NE(refusal("x = " + inline_tables), "accepted");
  EXPECT_THAT(refusal("a.b.c.d.e.f.g.h = {a.b.c.d.e.f.g.h.i = 1}"), HasSubstr("nested more than 16 levels"));
  EXPECT_EQ(refusal("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o = 1"), "accepted");
}

TEST(Toml, dots_in_text_and_comments_do_not_count_as_nesting) {
  const std::string dots(100, '.');
  EXPECT_EQ(refusal("a = \"" + dots + "\"\nb = '" + dots + "'\nc = \"\"\"\n" + dots + "\"\"\" # " + dots + "\n"),
            "accepted");
}

TEST(Toml, characters_beyond_ascii_belong_in_strings_and_comments) {
  EXPECT_EQ(refusal("a = '\xC3\xA9' # \xC3\xA9\n\"\xC3\xA9\" = 1\n"), "accepted");
  EXPECT_EQ(refusal("a = 1\n\xC3\xA9 = 1\n"), "agent.toml:2: a character that needs quotes");
  EXPECT_EQ(refusal("\xEF\xBB\xBF" "a = 1"), "agent.toml:1: a character that needs quotes");
}

TEST(Toml, size_is_limited) {
  EXPECT_EQ(refusal(std::string(kMaxTomlBytes, '\n')), "accepted");
  const auto large = parse(std::string(kMaxTomlBytes + 1, '\n'));
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code, Errc::exhausted);
}

TEST(Toml, damaged_documents_never_do_harm) {
  constexpr std::string_view kGood =
      "name = \"x\"\nentry = ['a', \"\"\"b\"\"\"]\na.b.c = 1.5\n[limits]\nmemory = \"1M\" # c\n[[t]]\nx = {y = 1}\n";
  ASSERT_TRUE(parse(kGood).ok());
  constexpr std::string_view kMarks = "\"'[]{}=.,#\n\\ -e0x\xFF";
  SeededRandom random(41);
  for (int i = 0; i < 5000; ++i) {
    std::string text(kGood);
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
      const std::size_t at = random.below(text.size());
      const char mark = kMarks[random.below(kMarks.size())];
      random.below(2) == 0 ? text[at] = mark : *text.insert(text.begin() + static_cast<std::ptrdiff_t>(at), mark);
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
