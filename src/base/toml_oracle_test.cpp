// Our TOML parser against toml++ 3.3: what ours accepts, toml++ accepts too and understands the
// same way. The other direction cannot be asked: toml++ has undefined behaviour on text that is not
// TOML.
#include <gtest/gtest.h>

#include <toml++/toml.h>

#include "base/random.h"
#include "base/toml.h"

namespace tare {
namespace {

Json as_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    JsonObject object;
    for (const auto& [key, member] : *table)
      object.emplace(std::string_view(key.str()), as_json(member));
    return object;
  }
  if (const auto* items = node.as_array()) {
    JsonArray array;
    for (const auto& item : *items) array.push_back(as_json(item));
    return array;
  }
  if (const auto* text = node.as_string()) return Json(std::string_view(text->get()));
  if (const auto* number = node.as_integer()) return Json(number->get());
  if (const auto* fraction = node.as_floating_point()) return Json(fraction->get());
  return Json(node.as_boolean()->get());
}

void compare(const std::string& text, int& accepted) {
  const auto ours = TomlDocument::parse(text, "t");
  if (!ours.ok()) return;
  ++accepted;
  try {
    ASSERT_EQ(canonical_text(as_json(toml::parse(text))), canonical_text(ours->value())) << text;
  } catch (const toml::parse_error& error) {
    FAIL() << error.description() << "\n" << text;
  }
}

std::string random_key(SeededRandom& random) {
  constexpr std::string_view kParts[] = {"a", "b", "c-1", "\"d e\"", "'f.g'", "1", "\"\\u00e9\""};
  std::string key(kParts[random.below(std::size(kParts))]);
  while (random.below(3) == 0) {
    key += random.below(2) == 0 ? "." : " . ";
    key += kParts[random.below(std::size(kParts))];
  }
  return key;
}

std::string random_value(SeededRandom& random, int depth) {
  constexpr std::string_view kScalars[] = {"1",
                                           "-0",
                                           "+1_0",
                                           "0xF_f",
                                           "0o17",
                                           "0b1",
                                           "1.5",
                                           "-1e-3",
                                           "6_0.2_1E+1",
                                           "true",
                                           "false",
                                           "\"\"",
                                           "''",
                                           "'x\"'",
                                           "\"\\t\\u00e9\\\\\"",
                                           "\"\"\"\na\"\"b\\\n  c\"\"\"",
                                           "'''a''''",
                                           "9223372036854775807"};
  const std::uint64_t kind = random.below(depth > 0 ? 10 : 8);
  if (kind < 8) return std::string(kScalars[random.below(std::size(kScalars))]);
  std::string out(1, kind == 8 ? '[' : '{');
  for (std::uint64_t i = 0, n = random.below(4); i < n; ++i) {
    if (i > 0) out += kind == 8 ? ",\n " : ", ";
    if (kind == 9) out += random_key(random) + " = ";
    out += random_value(random, depth - 1);
  }
  return out + (kind == 8 ? ']' : '}');
}

std::string random_document(SeededRandom& random) {
  std::string out;
  for (std::uint64_t n = 1 + random.below(6); n > 0; --n) {
    switch (random.below(5)) {
      case 0: out += "[" + random_key(random) + "]"; break;
      case 1: out += "[[" + random_key(random) + "]]"; break;
      default: out += random_key(random) + " = " + random_value(random, 2);
    }
    out += random.below(4) == 0 ? " # c\r\n" : "\n";
  }
  return out;
}

TEST(TomlOracle, random_documents_mean_the_same_to_both) {
  SeededRandom random(91);
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) compare(random_document(random), accepted);
  EXPECT_GT(accepted, 1000);
}

TEST(TomlOracle, damaged_documents_that_are_accepted_mean_the_same_to_both) {
  constexpr std::string_view kMarks = "\"'[]{}=.,#\n\\ -_e0x";
  SeededRandom random(92);
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text = random_document(random);
    text[random.below(text.size())] = kMarks[random.below(kMarks.size())];
    compare(text, accepted);
  }
  EXPECT_GT(accepted, 300);
}

}  // namespace
}  // namespace tare
