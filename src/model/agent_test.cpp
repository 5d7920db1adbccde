#include "model/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/random.h"
#include "base/text.h"

namespace tare::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kFull = R"(
name = "stock-analyst"
description = "Reads prices, writes a report."
environment = "debian:bookworm:python3-matplotlib,python3"
entry = ["python3", "analyse.py"]
files = ["lib", "analyse.py"]
user = "root"
profile = "strict"

[limits]
memory = "256M"
cpu = 0.5
pids = 64
disk = "1G"
inodes = 1000
output = "10M"
time = "1m30s"
open_files = 256

[env]
MODE = "full"
A_1 = ""
)";
constexpr std::string_view kLeast = "name = \"a\"\nenvironment = \"host\"\nentry = [\"true\"]\n";

// The least manifest with more lines, refused.
std::string refusal(std::string_view more) {
  const auto manifest = parse_agent_toml(std::string(kLeast) + std::string(more));
  return manifest.ok() ? "accepted" : manifest.error().message;
}

TEST(AgentManifest, with_a_runner_the_entry_is_one_text) {
  constexpr std::string_view kHead = "name = \"a\"\nenvironment = \"host\"\n";
  const auto parsed = [&](std::string_view more) {
    return parse_agent_toml(std::string(kHead) + std::string(more));
  };
  const auto manifest = parsed("runner = \"python@1.2\"\nentry = \"main.py:handler\"\n");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->runner, "python@1.2");
  EXPECT_THAT(manifest->entry, ElementsAre("main.py:handler"));
  const Json json = to_json(*manifest);
  EXPECT_EQ(*read_agent_manifest(Node(json)), *manifest);
  EXPECT_THAT(parsed("runner = \"python\"\nentry = [\"a\", \"b\"]\n").error().message,
              HasSubstr("agent.toml:4: entry: with a runner it is one text"));
  EXPECT_THAT(parsed("entry = \"main.py:handler\"\n").error().message,
              HasSubstr("agent.toml:3: entry: is the program and its arguments, a list"));
}

TEST(AgentManifest, one_without_a_runner_keeps_the_digest_it_had_before_there_were_any) {
  EXPECT_THAT(canonical_text(*parse_agent_toml(kLeast)), Not(HasSubstr("runner")));
}

TEST(AgentManifest, every_key_is_read) {
  const auto manifest = parse_agent_toml(kFull);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->name, "stock-analyst");
  EXPECT_EQ(manifest->description, "Reads prices, writes a report.");
  EXPECT_EQ(manifest->environment, "debian:bookworm:python3,python3-matplotlib");
  EXPECT_THAT(manifest->entry, ElementsAre("python3", "analyse.py"));
  EXPECT_THAT(manifest->files, ElementsAre("analyse.py", "lib"));
  EXPECT_EQ(manifest->user, "root");
  EXPECT_EQ(manifest->profile, "strict");
  EXPECT_THAT(manifest->env, ElementsAre("A_1=", "MODE=full"));
  const Limits limits{.memory_bytes = 256 << 20,
                      .cpu_millis = 500,
                      .pids = 64,
                      .disk_bytes = 1 << 30,
                      .disk_inodes = 1000,
                      .output_bytes = 10 << 20,
                      .time_ms = 90'000,
                      .open_files = 256};
  EXPECT_EQ(manifest->limits, limits);
}

TEST(AgentManifest, what_is_left_out_has_its_default) {
  const auto manifest = parse_agent_toml(kLeast).value();
  EXPECT_EQ(manifest.user, "agent");
  EXPECT_EQ(manifest.profile, "default");
  EXPECT_EQ(manifest.limits, Limits{});
  EXPECT_TRUE(manifest.files.empty());
}

TEST(AgentManifest, every_refusal_names_file_line_key_and_what_is_allowed) {
  struct Case {
    std::string_view more;
    std::string_view message;
  };
  // The least manifest has three lines; what is added starts on line 4.
  constexpr Case kCases[] = {
      {"[limits]\nmemroy = \"1G\"\n",
       "agent.toml:5: limits.memroy: unknown key; allowed: memory, cpu, pids, disk, inodes, "
       "output, time, open_files"},
      {"colour = 1\n",
       "agent.toml:4: colour: unknown key; allowed: name, description, environment, runner, entry, "
       "files, "
       "user, profile, "
       "limits, env"},
      {"runner = \"X y\"\n", "agent.toml:4: runner: \"X y\" is not a name"},
      {"name = \"b\"\n", "agent.toml:4:"},
      {"user = \"daemon\"\n", "agent.toml:4: user: expected one of agent, root, found \"daemon\""},
      {"profile = \"standard\"\n", "agent.toml:4: profile: expected one of strict, default, build"},
      {"description = 5\n", "agent.toml:4: description: expected text, found 5"},
      {"files = [\"/etc/passwd\"]\n", "agent.toml:4: files[0]: \"/etc/passwd\" must be relative"},
      {"files = [\"a\",\n\"../b\"]\n",
       "agent.toml:5: files[1]: \"../b\" must not hold the names . and .."},
      {"files = [\"a\", \"a\"]\n", "agent.toml:4: files: \"a\" is there twice"},
      {"files = [\"a\\u0000b\"]\n", "agent.toml:4: files[0]: must not hold a NUL character"},
      {"files = \"a\"\n", "agent.toml:4: files: expected a list, found \"a\""},
      {"[limits]\nmemory = 512\n",
       "agent.toml:5: limits.memory: expected a size in quotes such as \"512M\", found 512"},
      {"[limits]\nmemory = \"512\"\n",
       "agent.toml:5: limits.memory: \"512\" is out of range: allowed are 8M to 1T"},
      {"[limits]\nmemory = \"512m\"\n",
       "agent.toml:5: limits.memory: \"512m\" is not a size: write a number and one of"},
      {"[limits]\ncpu = 0\n", "agent.toml:5: limits.cpu: expected a number from 0.01 to 1024"},
      {"[limits]\ncpu = \"2\"\n", "agent.toml:5: limits.cpu: expected a number from 0.01 to 1024"},
      {"[limits]\npids = 0\n",
       "agent.toml:5: limits.pids: expected an integer from 1 to 32768, found 0"},
      {"[limits]\ndisk = \"1K\"\n",
       "agent.toml:5: limits.disk: \"1K\" is out of range: allowed are 1M to 4T"},
      {"[limits]\ntime = \"40d\"\n",
       "agent.toml:5: limits.time: \"40d\" is out of range: allowed are 0s to 30d"},
      {"[limits]\ntime = 30\n",
       "agent.toml:5: limits.time: expected a duration in quotes such as \"30s\", found 30"},
      {"limits = 5\n", "agent.toml:4: limits: expected a table, found 5"},
      {"[env]\nTARE_RUN = \"x\"\n", "agent.toml:5: env.TARE_RUN: \"TARE_RUN\" is reserved"},
      {"[env]\n-A = \"x\"\n", "agent.toml:5: env.-A: \"-A\" cannot be the name of a variable"},
      {"[env]\n\"\" = \"x\"\n", "agent.toml:5: env[\"\"]: a variable needs a name"},
      {"[env]\nA = 5\n", "agent.toml:5: env.A: expected text, found 5"},
      {"[env]\nA = \"\\u0000\"\n", "agent.toml:5: env.A: must not hold a NUL character"},
      {"env = [\"A=1\"]\n", "agent.toml:4: env: expected a table, found a list"},
  };
  for (const auto& [more, message] : kCases)
    EXPECT_THAT(refusal(more), StartsWith(std::string(message))) << more;
}

TEST(AgentManifest, the_required_keys_are_required_and_checked) {
  const auto refused = [](std::string_view text) { return parse_agent_toml(text).error().message; };
  EXPECT_EQ(refused("environment = \"host\"\nentry = [\"a\"]\n"),
            "agent.toml: name: required, but missing");
  EXPECT_EQ(refused("name = \"a\"\nentry = [\"a\"]\n"),
            "agent.toml: environment: required, but missing");
  EXPECT_EQ(refused("name = \"a\"\nenvironment = \"host\"\n"),
            "agent.toml: entry: required, but missing");
  EXPECT_THAT(refused("name = \"A b\"\nenvironment = \"host\"\nentry = [\"a\"]\n"),
              StartsWith("agent.toml:1: name: \"A b\" is not a name: use 1 to 63"));
  EXPECT_THAT(
      refused("name = \"a\"\nenvironment = \"debian:x:?\"\nentry = [\"a\"]\n"),
      StartsWith(
          "agent.toml:2: environment: \"debian:x:?\" names \"?\", which is not a Debian package"));
  EXPECT_THAT(refused("name = \"a\"\nenvironment = \"host\"\nentry = []\n"),
              HasSubstr("entry: must not be empty"));
  EXPECT_THAT(refused("name = \"a\"\nenvironment = \"host\"\nentry = [\"\"]\n"),
              HasSubstr("entry: the program must not be empty"));
  EXPECT_THAT(refused("name = \"a\"\nenvironment = \"host\"\nentry = \"true\"\n"),
              HasSubstr("entry: is the program and its arguments, a list"));
}

TEST(AgentManifest, the_errors_use_the_name_of_the_file) {
  EXPECT_THAT(parse_agent_toml("x = 1", "agents/a/agent.toml").error().message,
              StartsWith("agents/a/agent.toml:1: x:"));
}

TEST(AgentManifest, the_digest_follows_the_meaning_not_the_text) {
  const auto manifest = parse_agent_toml(kFull).value();
  std::string other = "# a comment\n" + std::string(kFull);
  const std::string_view packages = "python3-matplotlib,python3";
  other.replace(other.find(packages), packages.size(), "python3,python3-matplotlib");
  const std::string_view files = R"(["lib", "analyse.py"])";
  other.replace(other.find(files), files.size(), R"(['analyse.py', "lib",])");
  other.replace(other.find("1m30s"), 5, "90s");
  EXPECT_EQ(manifest_digest(parse_agent_toml(other).value()), manifest_digest(manifest));
  AgentManifest changed = manifest;
  changed.limits.pids = 65;
  EXPECT_NE(manifest_digest(changed), manifest_digest(manifest));
  changed = manifest;
  std::swap(changed.entry[0], changed.entry[1]);
  EXPECT_NE(manifest_digest(changed), manifest_digest(manifest));
}

TEST(AgentManifest, the_record_comes_back_the_same) {
  for (const std::string_view text : {kFull, kLeast}) {
    const AgentManifest manifest = parse_agent_toml(text).value();
    const Json json = parse_json(canonical_text(manifest)).value();
    EXPECT_EQ(read_agent_manifest(Node(json)).value(), manifest);
    EXPECT_EQ(tare::canonical_text(json), canonical_text(manifest));
  }
}

TEST(AgentJson, an_agent_comes_back_the_same_and_shows_its_fields) {
  Agent agent;
  agent.tenant = "default";
  agent.name = "stock-analyst";
  agent.version = 4;
  agent.manifest = parse_agent_toml(kFull).value();
  agent.environment_digest = "sha256:" + std::string(64, 'b');
  agent.files_digest = "sha256:" + std::string(64, 'c');
  agent.created_ms = 1'469'918'176'385;
  const Json json = parse_json(to_text(to_json(agent))).value();
  EXPECT_EQ(agent_from_json(json).value(), agent);
  EXPECT_EQ(json.at("entry").as_array().size(), 2U);
  EXPECT_EQ(json.at("created_at").as_string(), "2016-07-30T22:36:16.385Z");

  Json renamed = json;
  renamed.as_object()["name"] = "other";
  EXPECT_THAT(agent_from_json(renamed).error().message, HasSubstr("another name"));
  Json broken = json;
  broken.as_object()["manifest"] = "{";
  EXPECT_THAT(agent_from_json(broken).error().message, StartsWith("manifest: not valid JSON"));
  Json unversioned = json;
  unversioned.as_object()["version"] = 0;
  EXPECT_FALSE(agent_from_json(unversioned).ok());
}

// Whatever agent.toml holds: a refusal that can be printed and names the file, or a manifest that
// survives.
TEST(AgentManifest, damaged_files_are_refused_or_stable) {
  constexpr std::string_view kMarks = "\"'[]{}=.,#\n\\ -e0x/";
  SeededRandom random(81);
  int accepted = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string text(kFull);
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
      text[random.below(text.size())] = kMarks[random.below(kMarks.size())];
    }
    const auto manifest = parse_agent_toml(text);
    if (!manifest.ok()) {
      ASSERT_THAT(manifest.error().message, StartsWith("agent.toml"));
      ASSERT_TRUE(is_utf8(manifest.error().message));
      continue;
    }
    ++accepted;
    const Json json = to_json(*manifest);
    ASSERT_EQ(read_agent_manifest(Node(json)).value(), *manifest) << text;
  }
  EXPECT_GT(accepted, 15);
}

}  // namespace
}  // namespace tare::model
