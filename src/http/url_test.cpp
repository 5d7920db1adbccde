#include "http/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "http/route.h"

namespace tare::http {
namespace {

TEST(Target, is_decoded_once_and_by_segment) {
  const auto target = parse_target("/v1/runs/a%20b%C3%A9%252e?x=1&y=a%26b+c&flag");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/v1/runs/a%20b%C3%A9%252e");
  EXPECT_THAT(target->segments, testing::ElementsAre("v1", "runs", "a b\xc3\xa9%2e"));
  EXPECT_EQ(target->query.get("x"), "1");
  EXPECT_EQ(target->query.get("y"), "a&b+c");
  EXPECT_EQ(target->query.get("flag"), "");
  EXPECT_EQ(target->query.get("z"), std::nullopt);
}

TEST(Target, the_root_has_no_segments_and_a_slash_at_the_end_adds_an_empty_one) {
  EXPECT_TRUE(parse_target("/")->segments.empty());
  EXPECT_THAT(parse_target("/v1/")->segments, testing::ElementsAre("v1", ""));
}

TEST(Target, what_is_ambiguous_is_refused) {
  for (const std::string text :
       {"",           "v1",      "*",          "http://a/b", "a:443",     "//",    "//a",
        "/a//b",      "/./a",    "/a/..",      "/a/../b",    "/%2e%2e/b", "/%2E",  "/.%2e",
        "/a%2fb",     "/a%2Fb",  "/a%5cb",     "/a\\b",      "/a%00",     "/a%0a", "/a%7f",
        "/%",         "/%2",     "/%g0",       "/%-1",       "/a#b",      "/a b",  "/\xc3\xa9",
        "/%ff",       "/%c3%28", "/%ed%a0%80", "/a\"",       "/<",        "/^",    "/`",
        "/{a}",       "/|",      "/a?b=c?d#e", "/?a=1&a=2",  "/?a&%61",   "/?=1",  "/?&",
        "/?a=1&&b=2", "/?a=1&",  "/?a=%0d%0a", "/?a=%zz",    "/?a=\xff"}) {
    EXPECT_FALSE(parse_target(text).ok()) << text;
  }
}

TEST(Target, numbers_of_segments_and_parameters_are_bounded) {
  std::string path;
  std::string query;
  for (int i = 0; i < 32; ++i) {
    path += "/a";
    query += (i == 0 ? "?p" : "&p") + std::to_string(i);
  }
  EXPECT_TRUE(parse_target(path + query).ok());
  EXPECT_FALSE(parse_target(path + "/a").ok());
  EXPECT_FALSE(parse_target(path + query + "&more").ok());
}

TEST(Query, an_unknown_parameter_is_named) {
  const auto query = Query::parse("follow=1&sicne=3");
  EXPECT_TRUE(query->allow_only({"follow", "sicne"}).ok());
  const auto refused = query->allow_only({"follow", "since"});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, testing::HasSubstr("sicne"));
  EXPECT_THAT(refused.error().message, testing::HasSubstr("follow, since"));
}

TEST(PercentEncode, any_valid_text_survives_the_way_there_and_back) {
  EXPECT_EQ(percent_encode("a/b c%\xc3\xa9~"), "a%2Fb%20c%25%C3%A9~");
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string text(random() % 40, ' ');
    for (char& c : text) c = static_cast<char>(' ' + random() % 95);
    EXPECT_EQ(percent_decode(percent_encode(text)).value(), text);
    EXPECT_EQ(Query::parse("k=" + percent_encode(text))->get("k"), text);
  }
}

Route route(Method method, std::string path) {
  return {.method = method, .path = std::move(path), .handler = [](Exchange&) { return ok(); }};
}

RouteTable table() {
  return RouteTable({route(Method::get, "/v1/runs"), route(Method::post, "/v1/runs"),
                     route(Method::get, "/v1/runs/{id}"), route(Method::del, "/v1/runs/{id}"),
                     route(Method::get, "/v1/runs/{id}/files/{name}"),
                     route(Method::post, "/v1/runs/latest"), route(Method::get, "/")});
}

std::string found(Method method, std::string_view path) {
  static const RouteTable routes = table();
  const auto match = routes.find(method, parse_target(path)->segments);
  if (match.route == nullptr) return match.allow.empty() ? "404" : "405 " + match.allow;
  std::string out = match.route->path;
  for (const auto& [name, value] : match.parameters) out += " " + std::string(name) + "=" + value;
  return out;
}

TEST(RouteTable, finds_the_route_and_its_parameters) {
  EXPECT_EQ(found(Method::get, "/"), "/");
  EXPECT_EQ(found(Method::post, "/v1/runs"), "/v1/runs");
  EXPECT_EQ(found(Method::get, "/v1/runs/r%2D1"), "/v1/runs/{id} id=r-1");
  EXPECT_EQ(found(Method::get, "/v1/runs/a/files/b.txt"),
            "/v1/runs/{id}/files/{name} id=a name=b.txt");
}

TEST(RouteTable, get_serves_head) {
  EXPECT_EQ(found(Method::head, "/v1/runs/x"), "/v1/runs/{id} id=x");
}

TEST(RouteTable, a_literal_wins_over_a_parameter) {
  EXPECT_EQ(found(Method::post, "/v1/runs/latest"), "/v1/runs/latest");
  EXPECT_EQ(found(Method::get, "/v1/runs/latest"), "405 POST");
}

TEST(RouteTable, tells_a_missing_path_from_a_wrong_method) {
  EXPECT_EQ(found(Method::get, "/v1"), "404");
  EXPECT_EQ(found(Method::get, "/v1/runs/"), "404");
  EXPECT_EQ(found(Method::get, "/v1/runs/a/b"), "404");
  EXPECT_EQ(found(Method::put, "/v1/runs"), "405 GET, POST, HEAD");
  EXPECT_EQ(found(Method::post, "/v1/runs/a"), "405 GET, DELETE, HEAD");
}

TEST(RouteTableDeathTest, a_route_given_twice_is_a_bug) {
  EXPECT_DEATH(RouteTable({route(Method::get, "/a"), route(Method::get, "/a")}), "");
  EXPECT_DEATH(RouteTable({route(Method::get, "a")}), "");
  EXPECT_DEATH(RouteTable({route(Method::get, "/a{b}")}), "");
}

}  // namespace
}  // namespace tare::http
