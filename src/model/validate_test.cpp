#include "model/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/limits.h"
#include "model/profile.h"
#include "model/relative_path.h"

namespace tare::model {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kDigest = "sha256:" + std::string(64, 'a');

RunRequest a_request() {
  return RunRequest{.environment = "host",
                    .argv = {"true"},
                    .env = {"A=1"},
                    .inputs = {{.name = "a/b", .digest = kDigest, .size = 1}}};
}

TEST(Validate, a_good_request_passes) {
  EXPECT_TRUE(validate(a_request()).ok());
  RunRequest agent = a_request();
  agent.agent = "analyst";
  agent.version = 1;
  agent.environment = "py";
  agent.environment_digest = kDigest;
  EXPECT_TRUE(validate(agent).ok());
}

TEST(Validate, each_refusal_names_its_field) {
  struct Case {
    std::function<void(RunRequest&)> spoil;
    std::string field;
    std::string why;
  };
  const std::string nul("a\0b", 3);
  const Case kCases[] = {
      {[](auto& r) { r.agent = "A", r.version = 1; }, "agent", "is not a name"},
      {[](auto& r) { r.agent = "a"; }, "version", "count from 1"},
      {[](auto& r) { r.version = 2; }, "version", "no agent is named"},
      {[](auto& r) { r.environment = ""; }, "environment", "is not an environment"},
      {[](auto& r) { r.environment = "../etc"; }, "environment", "is not an environment"},
      {[](auto& r) { r.environment_digest = "x"; }, "environment_digest", "is not a digest"},
      {[](auto& r) { r.files_digest = "x"; }, "files_digest", "is not a digest"},
      {[](auto& r) { r.argv = {}; }, "argv", "must not be empty"},
      {[](auto& r) { r.argv = {""}; }, "argv[0]", "must not be empty"},
      {[&](auto& r) { r.argv = {"a", nul}; }, "argv[1]", "NUL"},
      {[](auto& r) { r.argv = {"a", std::string(kMaxArgBytes + 1, 'x')}; }, "argv[1]",
       "at most 65536"},
      {[](auto& r) { r.argv.assign(kMaxArgs + 1, "x"); }, "argv", "1025 items, at most 1024"},
      {[](auto& r) { r.argv.assign(6, std::string(kMaxArgBytes, 'x')); }, "argv", "bytes in all"},
      {[](auto& r) { r.env = {"A"}; }, "env[0]", "is not NAME=value"},
      {[](auto& r) { r.env = {"=1"}; }, "env[0]", "needs a name"},
      {[](auto& r) { r.env = {"1A=1"}; }, "env[0]", "cannot be the name"},
      {[](auto& r) { r.env = {"A B=1"}; }, "env[0]", "cannot be the name"},
      {[](auto& r) { r.env = {"A=1", "TARE_RUN=x"}; }, "env[1]", "reserved"},
      {[](auto& r) { r.env = {"A=1", "A=2"}; }, "env[1]", "\"A\" is there twice"},
      {[&](auto& r) { r.env = {"A=" + nul}; }, "env[0]", "NUL"},
      {[](auto& r) { r.env = {std::string(kMaxEnvNameBytes + 1, 'A') + "=1"}; }, "env[0]",
       "at most 256"},
      {[](auto& r) { r.env = {"A=" + std::string(kMaxEnvBytes, 'x')}; }, "env", "bytes in all"},
      {[](auto& r) { r.user = "daemon"; }, "user", "allowed: agent, root"},
      {[](auto& r) { r.profile = "standard"; }, "profile", "allowed: strict, default, build"},
      {[](auto& r) { r.inputs[0].name = "/etc/passwd"; }, "inputs[0].name", "must be relative"},
      {[](auto& r) { r.inputs[0].name = "a/../b"; }, "inputs[0].name",
       "must not hold the names . and .."},
      {[](auto& r) { r.inputs[0].digest = "sha256:"; }, "inputs[0].digest", "is not a digest"},
      {[](auto& r) { r.inputs[0].size = kMaxUploadBytes + 1; }, "inputs[0].size", "at most"},
      {[](auto& r) { r.inputs.push_back(r.inputs[0]); }, "inputs[1].name",
       "is the same as \"a/b\" of inputs[0]"},
      {[](auto& r) { r.inputs.push_back({.name = "a", .digest = kDigest}); }, "inputs[1].name",
       "\"a\" cannot be there together with \"a/b\" of inputs[0]"},
      {[](auto& r) { r.inputs.assign(kMaxInputFiles + 1, {}); }, "inputs", "1025 items"},
      {[](auto& r) { r.limits.memory_bytes = 1; }, "limits.memory_bytes", "allowed are 8388608 to"},
      {[](auto& r) { r.limits.cpu_millis = 0; }, "limits.cpu_millis", "out of range"},
      {[](auto& r) { r.limits.pids = 40'000; }, "limits.pids", "out of range"},
      {[](auto& r) { r.limits.disk_bytes = 0; }, "limits.disk_bytes", "out of range"},
      {[](auto& r) { r.limits.disk_inodes = 0; }, "limits.disk_inodes", "out of range"},
      {[](auto& r) { r.limits.output_bytes = ~0ULL; }, "limits.output_bytes", "out of range"},
      {[](auto& r) { r.limits.time_ms = ~0ULL; }, "limits.time_ms", "out of range"},
      {[](auto& r) { r.limits.open_files = 3; }, "limits.open_files", "out of range"},
      {[](auto& r) { r.idempotency_key.assign(256, 'x'); }, "idempotency_key", "at most 255"},
  };
  for (const Case& c : kCases) {
    RunRequest request = a_request();
    c.spoil(request);
    const auto valid = validate(request);
    ASSERT_FALSE(valid.ok()) << c.field << " " << c.why;
    EXPECT_EQ(valid.error().code, Errc::invalid);
    EXPECT_EQ(valid.error().field, c.field);
    EXPECT_THAT(valid.error().message, StartsWith(c.field + ": "));
    EXPECT_THAT(valid.error().message, HasSubstr(c.why));
  }
}

TEST(RelativePath, accepts_what_stays_below_the_folder) {
  for (const std::string_view good :
       {"a", "a/b/c", ".hidden", "..x", "a b", "x..", "\xC3\xA9.txt", "-rf"}) {
    EXPECT_TRUE(check_relative_path("f", good).ok()) << good;
  }
}

TEST(RelativePath, refuses_what_leads_out_or_cannot_be_a_name) {
  const std::string many = [] {
    std::string path = "a";
    for (std::size_t i = 0; i < kMaxPathComponents; ++i) path += "/a";
    return path;
  }();
  for (const std::string& bad :
       {std::string(), std::string("/"), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("."), std::string(".."), std::string("a/.."), std::string("../a"),
        std::string("a/./b"), std::string("a\0b", 3), std::string("a\nb"), std::string("a\x7F"),
        std::string("a\xFF"), std::string(256, 'a'), std::string(kMaxPathBytes + 1, 'a'), many}) {
    const auto checked = check_relative_path("files[0]", bad);
    ASSERT_FALSE(checked.ok()) << bad;
    EXPECT_EQ(checked.error().field, "files[0]");
  }
}

TEST(RelativePath, clashes_are_found_whatever_the_order) {
  EXPECT_FALSE(find_path_clash({"a", "b/c", "b/d", "ab"}).has_value());
  EXPECT_TRUE(find_path_clash({"x", "a", "a"})->same);
  for (const auto& paths :
       {std::vector<std::string_view>{"a/b/c", "x", "a"}, {"a", "x", "a/b/c"}}) {
    const auto clash = find_path_clash(paths);
    ASSERT_TRUE(clash.has_value());
    EXPECT_EQ(clash->first, 0U);
    EXPECT_EQ(clash->second, 2U);
    EXPECT_FALSE(clash->same);
  }
}

TEST(Profile, words_turn_into_values_and_back) {
  for (const Profile profile : {Profile::strict, Profile::standard, Profile::build}) {
    EXPECT_EQ(profile_from(to_string(profile)).value(), profile);
  }
  EXPECT_EQ(to_string(Profile::standard), "default");
  EXPECT_EQ(ids_of_user("agent").value(), (UserIds{1000, 1000}));
  EXPECT_EQ(ids_of_user("root").value(), (UserIds{0, 0}));
  for (const UserIds ids : {UserIds{0, 0}, UserIds{1000, 1000}, UserIds{0, 5}, UserIds{999, 0},
                            UserIds{1, 1}, UserIds{65'532, 65'532}})
    EXPECT_EQ(ids_of_user(user_of_ids(ids)).value(), ids);
  for (const char* text :
       {"", ":", "999", "999:", ":999", "65533:1", "1:65533", "65534:65534", "-1:0", "01:1", "1:1 ",
        "+1:1", "0:0", "1000:1000", "1:1:1", "4294967296:1", "daemon"})
    EXPECT_FALSE(ids_of_user(text).ok()) << text;
}

}  // namespace
}  // namespace tare::model
