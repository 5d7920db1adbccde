#include "api/auth.h"

#include <gtest/gtest.h>

#include "api/errors.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/random.h"

namespace tare::api {
namespace {

const std::string kKey(64, 'k');

http::RequestHead a_head() {
  http::RequestHead head;
  head.host = "127.0.0.1:7419";
  head.headers = {{"Authorization", "Bearer " + kKey}};
  return head;
}

int verdict(const http::RequestHead& head) {
  const auto refusal = judge_tcp(head, 7419, sha256(kKey));
  return refusal ? refusal->status : 0;
}

TEST(Auth, whoever_knows_the_key_is_welcome) {
  EXPECT_EQ(verdict(a_head()), 0);
  auto head = a_head();
  head.headers = {{"authorization", "bearer " + kKey}};
  EXPECT_EQ(verdict(head), 0);
}

TEST(Auth, without_the_key_or_with_another_nobody_is) {
  for (const std::string& value :
       {std::string("Bearer "), "Bearer " + kKey + "k", "Bearer " + kKey.substr(1), kKey,
        "Basic " + kKey, "Bearer  " + kKey, std::string()}) {
    auto head = a_head();
    head.headers = {{"Authorization", value}};
    EXPECT_EQ(verdict(head), 401) << value;
  }
  auto head = a_head();
  head.headers = {};
  EXPECT_EQ(verdict(head), 401);
  head.headers = {{"Authorization", "Bearer " + kKey}, {"Authorization", "Bearer x"}};
  EXPECT_EQ(verdict(head), 401);
}

TEST(Auth, a_host_that_is_not_ours_is_refused_before_the_key_is_looked_at) {
  for (const char* host :
       {"evil.example:7419", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:7419", "",
        "127.0.0.1:74190", "127.0.0.2:7419", "localhost:7419.evil"}) {
    auto head = a_head();
    head.headers = {};
    head.host = host;
    EXPECT_EQ(verdict(head), 421) << host;
  }
  for (const char* host : {"127.0.0.1:7419", "localhost:7419", "LOCALHOST:7419", "[::1]:7419"}) {
    EXPECT_TRUE(is_loopback_host(host, 7419)) << host;
  }
  EXPECT_TRUE(is_loopback_host("localhost", 80));  // the port that goes without saying
}

TEST(Auth, a_web_page_is_refused_even_with_the_key) {
  auto head = a_head();
  head.headers.add("Origin", "http://127.0.0.1:7419");
  EXPECT_EQ(verdict(head), 403);
}

TEST(Errors, each_kind_has_its_status) {
  const std::pair<Errc, int> table[] = {
      {Errc::invalid, 400},  {Errc::denied, 403},      {Errc::not_found, 404},
      {Errc::conflict, 409}, {Errc::cancelled, 409},   {Errc::exhausted, 429},
      {Errc::internal, 500}, {Errc::unavailable, 503}, {Errc::timeout, 504}};
  for (const auto& [code, status] : table) EXPECT_EQ(status_of(code), status) << to_string(code);
}

TEST(Errors, the_field_at_fault_is_told_apart) {
  const auto response = error_response(field_error("limits.pids", "too few"), std::nullopt);
  EXPECT_EQ(response.status, 400);
  const Json body = parse_json(response.body).value();
  EXPECT_EQ(body.at("error").at("field").as_string(), "limits.pids");
  EXPECT_EQ(body.at("error").at("code").as_string(), "invalid");
  EXPECT_EQ(error_response(Error{Errc::invalid, "x"}, 413).status, 413);
  EXPECT_FALSE(parse_json(error_response(Error{Errc::invalid, "x"}, 413).body)
                   ->at("error")
                   .as_object()
                   .contains("field"));
}

TEST(Base64, any_bytes_come_back_and_nothing_else_is_accepted) {
  SeededRandom random(7);
  for (std::size_t length = 0; length < 200; ++length) {
    std::string bytes(length, '\0');
    random.fill(std::as_writable_bytes(std::span(bytes)));
    const std::string text = base64url_encode(bytes);
    EXPECT_EQ(base64url_decode(text).value(), bytes);
    EXPECT_FALSE(base64url_decode(text + "=").ok());
  }
  EXPECT_EQ(base64url_encode("\xff\xfe"), "__4");
  for (const char* text : {"A", "A+", "A/", "AB=", "__5", "A A", "\xc3\xa9"})
    EXPECT_FALSE(base64url_decode(text).ok()) << text;
}

}  // namespace
}  // namespace tare::api
