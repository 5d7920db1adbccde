#include "model/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tare::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kFull = R"(
name = "python"
version = "1.2-rc.1"
description = "Calls a function of the agent's."
entry = ["python3", "/opt/tare/runner/main.py"]
handshake = ["python3", "/opt/tare/runner/main.py", "--handshake"]
handshake_time = "2s"
isolated_handshake = true
languages = ["python"]
needs = ["python3"]
)";
constexpr std::string_view
    kLeast = "name = \"p\"\nversion = \"1\"\nentry = [\"a\"]\nhandshake = [\"b\"]\n";

std::string refusal(std::string_view text) {
  const auto manifest = parse_runner_toml(text);
  return manifest.ok() ? "accepted" : manifest.error().message;
}

TEST(RunnerManifest, every_key_is_read) {
  const auto manifest = parse_runner_toml(kFull);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->name, "python");
  EXPECT_EQ(manifest->version, "1.2-rc.1");
  EXPECT_EQ(manifest->description, "Calls a function of the agent's.");
  EXPECT_THAT(manifest->entry, ElementsAre("python3", "/opt/tare/runner/main.py"));
  EXPECT_EQ(manifest->handshake.back(), "--handshake");
  EXPECT_EQ(manifest->handshake_ms, 2'000U);
  EXPECT_TRUE(manifest->isolated_handshake);
  EXPECT_THAT(manifest->languages, ElementsAre("python"));
  EXPECT_THAT(manifest->needs, ElementsAre("python3"));
}

TEST(RunnerManifest, what_may_be_left_out_has_a_default) {
  const auto manifest = parse_runner_toml(kLeast);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->handshake_ms, 5'000U);
  EXPECT_FALSE(manifest->isolated_handshake);
  EXPECT_TRUE(manifest->languages.empty() && manifest->needs.empty());
}

TEST(RunnerManifest, a_refusal_names_line_and_key) {
  const auto with = [](std::string_view more) {
    return refusal(std::string(kLeast) + std::string(more));
  };
  EXPECT_THAT(with("hndshake = 1\n"), HasSubstr("runner.toml:5: hndshake: unknown key"));
  EXPECT_THAT(with("handshake_time = \"0\"\n"), HasSubstr("runner.toml:5: handshake_time"));
  EXPECT_THAT(with("handshake_time = \"2m\"\n"), HasSubstr("runner.toml:5: handshake_time"));
  EXPECT_THAT(with("needs = [\"/bin/sh\"]\n"), HasSubstr("runner.toml:5: needs[0]"));
  EXPECT_THAT(refusal("name = \"p\"\n"), HasSubstr("runner.toml"));
  for (const std::string_view version : {"", "../1", "1 2", "-1", "a@b", "1/2"}) {
    const std::string text = "name = \"p\"\nversion = \"" + std::string(version) +
                             "\"\nentry = [\"a\"]\nhandshake = [\"b\"]\n";
    EXPECT_THAT(refusal(text), HasSubstr("runner.toml:2: version: ")) << version;
  }
  EXPECT_THAT(refusal("name = \"P\"\nversion = \"1\"\nentry = [\"a\"]\nhandshake = [\"b\"]\n"),
              HasSubstr("runner.toml:1: name: "));
  EXPECT_THAT(refusal("name = \"p\"\nversion = \"1\"\nentry = []\nhandshake = [\"b\"]\n"),
              HasSubstr("runner.toml:3: entry"));
}

TEST(Runner, comes_back_from_its_record) {
  const Runner runner{"default", *parse_runner_toml(kFull), "sha256:" + std::string(64, 'a'), 7};
  const auto back = runner_from_json(to_json(runner));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, runner);
  EXPECT_EQ(runner.reference(), "python@1.2-rc.1");
}

TEST(RunnerRef, is_a_name_and_perhaps_a_version) {
  EXPECT_EQ(*parse_runner_ref("python"), (RunnerRef{"python", ""}));
  EXPECT_EQ(*parse_runner_ref("python@1.0"), (RunnerRef{"python", "1.0"}));
  EXPECT_EQ(parse_runner_ref("python@1.0")->text(), "python@1.0");
  for (const char* text : {"", "@1", "python@", "python@1@2", "Py", "a/b", "python@../x"}) {
    EXPECT_FALSE(parse_runner_ref(text).ok()) << text;
  }
}

TEST(Handshake, is_one_line_with_our_protocol) {
  EXPECT_TRUE(read_handshake("{\"tare_runner\":1,\"name\":\"python\"}\n").ok());
  const std::pair<std::string, const char*> hostile[] = {
      {"", "exactly one line"},
      {"{\"tare_runner\":1}", "exactly one line"},
      {"{\"tare_runner\":1}\n{}\n", "exactly one line"},
      {"\n{\"tare_runner\":1}\n", "exactly one line"},
      {"hello\n", "no JSON"},
      {"{\"tare_runner\":1,\"tare_runner\":1}\n", "no JSON"},
      {"[1]\n", "something else"},
      {"{}\n", "something else"},
      {"{\"tare_runner\":\"1\"}\n", "something else"},
      {"{\"tare_runner\":2}\n", "speaks protocol 2; this is 1"},
      {std::string(5'000, ' ') + "\n", "more than 4096 bytes"},
  };
  for (const auto& [output, why] : hostile) {
    const auto read = read_handshake(output);
    ASSERT_FALSE(read.ok()) << output;
    EXPECT_THAT(read.error().message, HasSubstr(why));
  }
}

}  // namespace
}  // namespace tare::model
