#include "base/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/text.h"
#include "base/toml.h"

namespace tare {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

struct Mount {
  std::string target;
  std::uint32_t mode = 0755;
};

Result<Mount> read_mount(const Node& node) {
  Mount mount;
  Fields fields(node);
  fields.required("target", mount.target, text(16, 1));
  fields.optional("mode", mount.mode, integer<std::uint32_t>(0, 0777));
  TRY(fields.finish());
  return mount;
}

Result<std::string> only_lower(std::string_view text) {
  for (const char c : text) {
    if (c < 'a' || c > 'z') return Error{Errc::invalid, "not lower-case"};
  }
  return std::string(text);
}

struct Spec {
  std::string name;
  std::uint64_t memory_bytes = 7;
  std::uint64_t time_ms = 8;
  std::uint32_t cpu_millis = 1000;
  std::int32_t nice = 0;
  bool on = false;
  std::optional<Mount> root;
  std::vector<Mount> mounts;
};

Result<Spec> read_spec(const Node& node) {
  Spec spec;
  Fields fields(node);
  fields.required("name", spec.name, parsed(only_lower));
  fields.optional("memory", spec.memory_bytes, size_text(kMiB, kGiB));
  fields.optional("time", spec.time_ms, duration_text(1, 60'000));
  fields.optional("cpu", spec.cpu_millis, thousandths(10, 4000));
  fields.optional("nice", spec.nice, integer<std::int32_t>(-20, 19));
  fields.optional("on", spec.on, boolean());
  fields.optional("root", spec.root, read_mount);
  fields.optional("mounts", spec.mounts, list_of(read_mount, 2));
  fields.reserved("runner", "reserved for a later version");
  TRY(fields.finish());
  return spec;
}

Result<Spec> decode(std::string_view json, Unknown unknown = Unknown::refuse) {
  const Json value = parse_json(json).value();
  return read_spec(Node(value, unknown));
}

std::string refusal(std::string_view json) {
  const auto spec = decode(json);
  return spec.ok() ? "accepted" : spec.error().message;
}

TEST(Decode, a_complete_object_is_read) {
  const auto spec = decode(
      R"({"name":"a","memory":"64M","time":"1.5s","cpu":0.5,"nice":-5,"on":true,
      "root":{"target":"/"},"mounts":[{"target":"/a","mode":448},{"target":"/b"}]})");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->name, "a");
  EXPECT_EQ(spec->memory_bytes, 64 * kMiB);
  EXPECT_EQ(spec->time_ms, 1500U);
  EXPECT_EQ(spec->cpu_millis, 500U);
  EXPECT_EQ(spec->nice, -5);
  EXPECT_TRUE(spec->on);
  EXPECT_EQ(spec->root->target, "/");
  ASSERT_EQ(spec->mounts.size(), 2U);
  EXPECT_EQ(spec->mounts[0].mode, 0700U);
  EXPECT_EQ(spec->mounts[1].mode, 0755U);
}

TEST(Decode, what_is_left_out_keeps_its_default) {
  const auto spec = decode(R"({"name":"a"})").value();
  EXPECT_EQ(spec.memory_bytes, 7U);
  EXPECT_EQ(spec.cpu_millis, 1000U);
  EXPECT_FALSE(spec.root.has_value());
}

TEST(Decode, every_refusal_names_the_place_and_what_is_allowed) {
  struct Case {
    std::string_view json;
    std::string_view message;
  };
  constexpr Case kCases[] = {
      {R"([])", "expected an object, found a list"},
      {R"({})", "name: required, but missing"},
      {R"({"name":1})", "name: expected text, found 1"},
      {R"({"name":null})", "name: expected text, found null"},
      {R"({"name":"A"})", "name: not lower-case"},
      {R"({"nam":"a"})",
       "nam: unknown key; allowed: name, memory, time, cpu, nice, on, root, mounts"},
      {R"({"name":"a","runner":1})", "runner: reserved for a later version"},
      {R"({"name":"a","memory":64})",
       R"(memory: expected a size in quotes such as "512M", found 64)"},
      {R"({"name":"a","memory":"1K"})", R"(memory: "1K" is out of range: allowed are 1M to 1G)"},
      {R"({"name":"a","time":"2m"})", R"(time: "2m" is out of range: allowed are 1ms to 1m)"},
      {R"({"name":"a","time":10})",
       R"(time: expected a duration in quotes such as "30s", found 10)"},
      {R"({"name":"a","cpu":"1"})",
       R"(cpu: expected a number from 0.01 to 4 with at most three decimals, found "1")"},
      {R"({"name":"a","cpu":0.0105})",
       "cpu: expected a number from 0.01 to 4 with at most three decimals, found 0.0105"},
      {R"({"name":"a","cpu":4.001})",
       "cpu: expected a number from 0.01 to 4 with at most three decimals, found 4.001"},
      {R"({"name":"a","cpu":1e300})",
       "cpu: expected a number from 0.01 to 4 with at most three decimals, found 1e+300"},
      {R"({"name":"a","nice":20})", "nice: expected an integer from -20 to 19, found 20"},
      {R"({"name":"a","nice":1.5})", "nice: expected an integer from -20 to 19, found 1.5"},
      {R"({"name":"a","on":"yes"})", R"(on: expected true or false, found "yes")"},
      {R"({"name":"a","root":{"target":""}})", "root.target: must not be empty"},
      {R"({"name":"a","root":{}})", "root.target: required, but missing"},
      {R"({"name":"a","mounts":{}})", "mounts: expected a list, found an object"},
      {R"({"name":"a","mounts":[{"target":"/"},{"target":"/","mode":-1}]})",
       "mounts[1].mode: expected an integer from 0 to 511, found -1"},
      {R"({"name":"a","mounts":[{"target":"/","targt":1}]})",
       "mounts[0].targt: unknown key; allowed: target, mode"},
      {R"({"name":"a","mounts":[{"target":"12345678901234567"}]})",
       "mounts[0].target: 17 bytes long, at most 16 are allowed"},
      {R"({"name":"a","mounts":[{"target":"a\u0000b"}]})",
       "mounts[0].target: must not hold a NUL character"},
      {R"({"name":"a","mounts":[1,2,3]})", "mounts: 3 items, at most 2 are allowed"},
      {R"({"name":"a","x y\n":1})",
       R"(["x y\n"]: unknown key; allowed: name, memory, time, cpu, nice, on, root, mounts)"},
  };
  for (const auto& [json, message] : kCases) EXPECT_EQ(refusal(json), message) << json;
}

TEST(Decode, an_unknown_key_is_told_before_a_missing_or_wrong_one) {
  EXPECT_THAT(refusal(R"({"nice":99,"nmae":"a"})"), testing::StartsWith("nmae: unknown key"));
}

TEST(Decode, the_path_is_in_the_error_for_machines) {
  const auto spec = decode(R"({"name":"a","mounts":[{"target":3}]})");
  EXPECT_EQ(spec.error().field, "mounts[0].target");
  EXPECT_EQ(spec.error().code, Errc::invalid);
}

TEST(Decode, integers_at_the_ends_of_their_types) {
  const auto read = [](std::string_view json, auto reader) {
    const Json value = parse_json(json).value();
    return reader(Node(value));
  };
  EXPECT_EQ(read("18446744073709551615", integer<std::uint64_t>()).value(), ~std::uint64_t{0});
  EXPECT_FALSE(read("18446744073709551616", integer<std::uint64_t>()).ok());
  EXPECT_FALSE(read("-1", integer<std::uint64_t>()).ok());
  EXPECT_EQ(read("-9223372036854775808", integer<std::int64_t>()).value(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(read("9223372036854775808", integer<std::int64_t>()).ok());
  EXPECT_FALSE(read("256", integer<std::uint8_t>()).ok());
  EXPECT_EQ(read("255", integer<std::uint8_t>()).value(), 255);
  EXPECT_FALSE(read("1.0", integer<std::uint8_t>()).ok());
  EXPECT_FALSE(read("1e2", integer<std::uint8_t>()).ok());
}

TEST(Decode, every_thousandth_is_read_exactly) {
  for (std::uint32_t millis = 1; millis <= 20'000; ++millis) {
    const Json value = parse_json(fmt::format("{}.{:03}", millis / 1000, millis % 1000)).value();
    ASSERT_EQ(thousandths(1, 20'000)(Node(value)).value(), millis);
  }
}

TEST(Decode, a_lenient_node_passes_over_unknown_keys_at_any_depth) {
  const auto spec = decode(R"({"name":"a","new":1,"root":{"target":"/","new":2}})",
                           Unknown::ignore);
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->root->target, "/");
  EXPECT_FALSE(decode(R"({"name":1,"new":1})", Unknown::ignore).ok());
}

TEST(Decode, errors_in_a_file_name_its_line) {
  const auto document = TomlDocument::parse("name = \"a\"\n\n[root]\ntarget = \"/\"\nmoed = 1\n",
                                            "agent.toml")
                            .value();
  const auto spec = read_spec(document.root());
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().message, "agent.toml:5: root.moed: unknown key; allowed: target, mode");
  EXPECT_EQ(spec.error().field, "root.moed");
  const auto empty = TomlDocument::parse("", "agent.toml").value();
  EXPECT_EQ(read_spec(empty.root()).error().message, "agent.toml: name: required, but missing");
}

// Whatever the input: either a value within its bounds, or an error that is printable and has the
// kind `invalid`.
TEST(Decode, random_documents_are_refused_or_within_bounds) {
  constexpr std::string_view kKeys[] = {"name", "memory", "time",   "cpu", "nice",
                                        "on",   "root",   "mounts", "x"};
  constexpr std::string_view kValues[] = {R"("a")",
                                          R"("64M")",
                                          R"("10s")",
                                          "0.5",
                                          "3",
                                          "-3",
                                          "true",
                                          "null",
                                          "[]",
                                          "{}",
                                          "1e300",
                                          "18446744073709551615",
                                          R"({"target":"/"})",
                                          R"([{"target":"/b","mode":1}])",
                                          R"("\u0000")"};
  SeededRandom random(51);
  int accepted = 0;
  for (int i = 0; i < 5000; ++i) {
    JsonObject object;
    object["name"] = "a";
    for (std::uint64_t n = random.below(4); n > 0; --n) {
      object[kKeys[random.below(std::size(kKeys))]] = parse_json(
                                                          kValues[random.below(std::size(kValues))])
                                                          .value();
    }
    const Json value(object);
    const auto spec = read_spec(Node(value));
    if (!spec.ok()) {
      ASSERT_EQ(spec.error().code, Errc::invalid);
      ASSERT_TRUE(is_utf8(spec.error().message));
      ASSERT_FALSE(spec.error().field.empty());
      continue;
    }
    ++accepted;
    ASSERT_TRUE(spec->nice >= -20 && spec->nice <= 19);
    ASSERT_TRUE(spec->cpu_millis >= 10 && spec->cpu_millis <= 4000);
    ASSERT_LE(spec->mounts.size(), 2U);
    ASSERT_FALSE(object.contains("x"));
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace tare
