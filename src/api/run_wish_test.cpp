#include "api/run_wish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tare::api {
namespace {

using testing::ElementsAre;

Result<host::RunWish> read(std::string_view text) {
  const Json body = parse_json(text).value();
  return read_run_wish(Node(body));
}

TEST(RunWish, everything_that_can_be_asked_is_read) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto wish = read(R"({"environment":"host","argv":["sh","-c",""],"env":["A=b"],"user":"root",
      "profile":"strict","limits":{"pids":3},"inputs":[{"name":"x/y","digest":")" +
                         digest + R"("}],
      "stdin":true,"attach":true,"idempotency_key":"k"})")
                        .value();
  EXPECT_EQ(wish.environment, "host");
  EXPECT_THAT(wish.argv, ElementsAre("sh", "-c", ""));
  EXPECT_THAT(wish.env, ElementsAre("A=b"));
  EXPECT_EQ(wish.user, "root");
  EXPECT_EQ(wish.profile, "strict");
  EXPECT_TRUE(wish.limits.has_value());
  ASSERT_EQ(wish.inputs.size(), 1U);
  EXPECT_EQ(wish.inputs[0].name, "x/y");
  EXPECT_TRUE(wish.with_stdin && wish.attach);
  EXPECT_EQ(wish.idempotency_key, "k");
}

TEST(RunWish, what_is_wrong_is_refused_by_name) {
  const std::pair<const char*, const char*> table[] = {
      {R"({"enviroment":"host"})", "enviroment"},
      {R"({"argv":[]})", "argv"},
      {R"({"argv":"true"})", "argv"},
      {R"({"argv":["a",1]})", "argv[1]"},
      {R"({"agent":"A b"})", "agent"},
      {R"({"version":0})", "version"},
      {R"({"version":1.0})", "version"},
      {R"({"user":"nobody"})", "user"},
      {R"({"user":null})", "user"},
      {R"({"limits":{"pids":0}})", "limits.pids"},
      {R"({"limits":{"memory":"1G"}})", "limits.memory"},
      {R"({"inputs":[{"name":"a"}]})", "inputs[0].digest"},
      {R"({"inputs":[{"name":"a","digest":"md5:0"}]})", "inputs[0].digest"},
      {R"({"stdin":"yes"})", "stdin"},
      {R"({"idempotency_key":""})", "idempotency_key"},
      {R"({"network":"host"})", "network"},
  };
  for (const auto& [text, field] : table) {
    const auto wish = read(text);
    ASSERT_FALSE(wish.ok()) << text;
    EXPECT_EQ(wish.error().code, Errc::invalid);
    EXPECT_EQ(wish.error().field, field) << text << ": " << wish.error().message;
  }
  EXPECT_FALSE(read("[]").ok());
}

}  // namespace
}  // namespace tare::api
