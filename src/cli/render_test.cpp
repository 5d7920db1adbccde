#include "cli/render.h"

namespace tare::cli {
namespace {

TEST(Render, a_table_is_aligned_by_code_points_without_trailing_spaces) {
  Table table({"NAME", "SIZE", "X"});
  table.add({"größe", "1", ""});
  table.add({"a", "1024", "y"});
  EXPECT_EQ(table.text(),
            "NAME   SIZE  X\n"
            "größe  1\n"
            "a      1024  y\n");
}

TEST(Render, nothing_a_server_sends_reaches_the_terminal_as_a_command) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\x7f"), "a?[2Jb???");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "?2J");
  EXPECT_EQ(printable("\xff"
                      "a"),
            "\xef\xbf\xbd"
            "a");
  EXPECT_EQ(printable("größer", 4), "größ...");
  EXPECT_EQ(printable("größe", 5), "größe");
}

TEST(Render, ages_have_one_unit) {
  EXPECT_EQ(age_text(1000, 500), "0s");
  EXPECT_EQ(age_text(0, 59'999), "59s");
  EXPECT_EQ(age_text(0, 60'000), "1m");
  EXPECT_EQ(age_text(0, 47 * 3'600'000ull), "47h");
  EXPECT_EQ(age_text(0, 49 * 3'600'000ull), "2d");
}

TEST(Render, values_that_are_missing_or_of_another_type_are_neutral) {
  const Json value = parse_json(R"({"a":{"b":"x","n":3,"f":true,"neg":-1},"l":[1]})").value();
  EXPECT_EQ(text_at(value, {"a", "b"}), "x");
  EXPECT_EQ(text_at(value, {"a", "n"}), "");
  EXPECT_EQ(text_at(value, {"a", "b", "c"}), "");
  EXPECT_EQ(number_at(value, {"a", "n"}), 3u);
  EXPECT_EQ(number_at(value, {"a", "neg"}), 0u);
  EXPECT_EQ(number_at(value, {"a", "b"}), 0u);
  EXPECT_TRUE(flag_at(value, {"a", "f"}));
  EXPECT_FALSE(flag_at(value, {"a", "b"}));
  EXPECT_EQ(array_at(value, "l").size(), 1u);
  EXPECT_EQ(array_at(value, "a").size(), 0u);
}

TEST(Render, a_command_is_shown_as_a_shell_would_take_it) {
  const auto show = [](const char* json) { return command_text(parse_json(json)->get_array()); };
  EXPECT_EQ(show(R"(["sh","-c","echo $0 'x'"])"), R"(sh -c 'echo $0 '\''x'\''')");
  EXPECT_EQ(show(R"(["echo",""])"), "echo ''");
  EXPECT_EQ(show(R"(["a\u001bb"])"), "a?b");
}

TEST(Render, a_refusal_is_told_in_the_words_of_the_command_line) {
  const auto told = [](std::string message, std::string field) {
    return error_text(Error{Errc::invalid, std::move(message), 0, std::move(field)});
  };
  EXPECT_EQ(told("argv: is needed: it names no program", "argv"),
            "a command after `--` is needed: it names no program");
  EXPECT_EQ(told("cwd: is too long", "cwd"), "--cwd: is too long");
  EXPECT_EQ(told("the secret \"a\" is there", "name"), "the secret \"a\" is there");
  EXPECT_EQ(told("ref: `host` is the host", "ref"), "`host` is the host");
  EXPECT_EQ(told("name: expected text", "name"), "name: expected text");
  EXPECT_EQ(told("too long", "value"), "value: too long");
  EXPECT_EQ(told("value: too long", "value"), "value: too long");
}

}  // namespace
}  // namespace tare::cli
