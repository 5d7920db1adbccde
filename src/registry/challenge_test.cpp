#include "registry/challenge.h"

#include <gtest/gtest.h>

namespace tare::registry {
namespace {

TEST(Challenge, bearer_names_where_to_get_a_token) {
  const auto read = parse_challenge(
      R"(Bearer realm="https://auth.example/token",service="reg\"x", scope=pull)");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->kind, Challenge::Kind::bearer);
  EXPECT_EQ(read->realm, "https://auth.example/token");
  EXPECT_EQ(read->service, "reg\"x");
  EXPECT_EQ(read->scope, "pull");
}

TEST(Challenge, basic_is_known) {
  EXPECT_EQ(parse_challenge("basic realm=\"x\"").value().kind, Challenge::Kind::basic);
}

TEST(Challenge, of_several_the_one_that_is_spoken_counts) {
  for (const char* text :
       {"Negotiate, Bearer realm=\"r\",service=s", "Bearer realm=\"r\",service=s, Negotiate",
        "Negotiate YII+/abc==, Bearer realm=r, service=s",
        "Negotiate YII, bearer service=s,realm=r",
        "Basic realm=\"x, Bearer realm=y\", Bearer realm=r,service=s"}) {
    const auto read = parse_challenge(text);
    ASSERT_TRUE(read.ok()) << text;
    EXPECT_EQ(read->kind, Challenge::Kind::bearer) << text;
    EXPECT_EQ(read->realm, "r") << text;
    EXPECT_EQ(read->service, "s") << text;
  }
  EXPECT_EQ(parse_challenge("Negotiate, Basic realm=\"x\"").value().kind, Challenge::Kind::basic);
}

TEST(Challenge, others_are_refused) {
  for (const char* text : {"", "Digest realm=x", "Bearer", "Bearer service=\"x\"", "Bearer realm",
                           "Bearer =x", "Bearer realm=\"\"", "Negotiate, Digest realm=x"})
    EXPECT_FALSE(parse_challenge(text).ok()) << text;
  EXPECT_FALSE(parse_challenge("Bearer realm=" + std::string(5000, 'x')).ok());
}

}  // namespace
}  // namespace tare::registry
