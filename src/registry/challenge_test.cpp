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

TEST(Challenge, others_are_refused) {
  for (const char* text : {"", "Digest realm=x", "Bearer", "Bearer service=\"x\"", "Bearer realm",
                           "Bearer =x", "Bearer realm=\"\""})
    EXPECT_FALSE(parse_challenge(text).ok()) << text;
  EXPECT_FALSE(parse_challenge("Bearer realm=" + std::string(5000, 'x')).ok());
}

}  // namespace
}  // namespace tare::registry
