#include "http/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "http/test_transcript.h"

namespace tare::http {
namespace {

TEST(Decoder, reads_a_request_with_a_body_and_what_follows_it) {
  const auto out = decode_whole(Side::server,
                                "POST /v1/runs?x=1 HTTP/1.1\r\nHost: h:80\r\ncontent-LENGTH: 5\r\n"
                                "X-A:  spaced\t \r\n\r\nhelloGET / HTTP/1.0\r\n\r\n");
  ASSERT_EQ(out.refused, 0);
  ASSERT_EQ(out.messages.size(), 2U);
  EXPECT_EQ(out.messages[0].start, "POST /v1/runs?x=1");
  EXPECT_EQ(out.messages[0].body, "hello");
  EXPECT_TRUE(out.messages[0].keep_alive);
  EXPECT_EQ(out.messages[0].headers.get("x-a"), "spaced");
  EXPECT_EQ(out.messages[1].start, "GET /");
  EXPECT_FALSE(out.messages[1].keep_alive);
  EXPECT_TRUE(out.messages[1].complete);
}

TEST(Decoder, reads_chunked_bodies) {
  const auto out = decode_whole(Side::server,
                                chunked("5\r\nhello\r\n00a\r\n, world!!\n\r\n0\r\n\r\n") + get(""));
  ASSERT_EQ(out.refused, 0);
  ASSERT_EQ(out.messages.size(), 2U);
  EXPECT_EQ(out.messages[0].body, "hello, world!!\n");
  EXPECT_TRUE(out.messages[0].complete);
}

TEST(Decoder, a_body_may_hold_what_looks_like_a_request) {
  const std::string inner = get("");
  const auto out = decode_whole(Side::server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " +
                                                  std::to_string(inner.size()) + "\r\n\r\n" +
                                                  inner);
  ASSERT_EQ(out.messages.size(), 1U);
  EXPECT_EQ(out.messages[0].body, inner);
}

TEST(Decoder, knows_when_the_connection_is_to_be_kept) {
  auto keeps = [](const std::string& head) {
    const auto out = decode_whole(Side::server, head);
    EXPECT_EQ(out.messages.size(), 1U) << head;
    return out.messages.at(0).keep_alive;
  };
  EXPECT_TRUE(keeps(get("")));
  EXPECT_TRUE(keeps(get("Connection: keep-alive\r\n")));
  EXPECT_FALSE(keeps(get("Connection: Close\r\n")));
  EXPECT_FALSE(keeps(get("Connection: keep-alive\r\nConnection: x, CLOSE\r\n")));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(Decoder, limits_are_exact) {
  const HeadLimits limits{.head_bytes = 100, .line_bytes = 40, .fields = 3};
  auto refused = [&](const std::string& bytes) {
    return decode_whole(Side::server, bytes, limits).refused;
  };
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";  // 25 bytes
  EXPECT_EQ(refused(start + "X: " + std::string(37, 'x') + "\r\n\r\n"), 0);
  EXPECT_EQ(refused(start + "X: " + std::string(38, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(refused(start + "A:\r\nB:\r\n\r\n"), 0);
  EXPECT_EQ(refused(start + "A:\r\nB:\r\nC:\r\n\r\n"), 431);
  EXPECT_EQ(refused(start + std::string(35, 'x') + ":\r\n" + std::string(32, 'x') + ":\r\n\r\n"),
            0);
  EXPECT_EQ(refused(start + std::string(35, 'x') + ":\r\n" + std::string(33, 'x') + ":\r\n\r\n"),
            431);
}

TEST(Decoder, expect_counts_only_where_there_is_a_body_to_wait_with) {
  auto expects = [](const std::string& bytes) {
    Decoder decoder(Side::server, {});
    EXPECT_TRUE(decoder.next(bytes).ok());
    return decoder.request().expects_continue;
  };
  EXPECT_TRUE(expects(get("Expect: 100-Continue\r\nContent-Length: 1\r\n")));
  EXPECT_FALSE(expects(get("Expect: 100-continue\r\n")));
  EXPECT_FALSE(expects("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"));
}

TEST(Decoder, the_end_of_the_stream_is_an_error_in_the_midst_of_a_message_only) {
  auto finish_after = [](Side side, const std::string& bytes) {
    Decoder decoder(side, {});
    std::string_view input = bytes;
    for (;;) {
      auto step = decoder.next(input);
      EXPECT_TRUE(step.ok());
      input.remove_prefix(step->consumed);
      if (step->event == Event::need_more) return decoder.finish().ok();
    }
  };
  EXPECT_TRUE(finish_after(Side::server, ""));
  EXPECT_TRUE(finish_after(Side::server, get("")));
  EXPECT_FALSE(finish_after(Side::server, "G"));
  EXPECT_FALSE(finish_after(Side::server, get("Content-Length: 1\r\n")));
  EXPECT_FALSE(finish_after(Side::server, chunked("5\r\nhello\r\n")));
  EXPECT_TRUE(finish_after(Side::client, "HTTP/1.1 200 OK\r\n\r\nsome"));
  EXPECT_FALSE(finish_after(Side::client, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsome"));
}

TEST(ResponseDecoder, reads_each_kind_of_framing) {
  const auto out = decode_whole(
      Side::client,
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
      "HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\n"
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
      "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
      "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 until close");
  ASSERT_EQ(out.refused, 0);
  ASSERT_EQ(out.messages.size(), 6U);
  EXPECT_EQ(out.messages[1].body, "");
  EXPECT_EQ(out.messages[3].body, "ok");
  EXPECT_EQ(out.messages[5].body, "HTTP/1.1 until close");
  EXPECT_FALSE(out.messages[5].keep_alive);
  EXPECT_TRUE(out.messages[4].complete);
}

TEST(ResponseDecoder, a_response_to_head_has_no_body) {
  Decoder decoder(Side::client, {});
  decoder.expect_no_body(true);
  const std::string bytes = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
  EXPECT_EQ(decoder.next(bytes)->event, Event::head);
  EXPECT_EQ(decoder.next("")->event, Event::end);
}

TEST(ResponseDecoder, hostile_responses_are_refused) {
  for (const std::string bytes :
       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 999 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 O\x01K\r\n\r\n", "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 2e2 OK\r\n\r\n"}) {
    EXPECT_NE(decode_whole(Side::client, bytes).refused, 0) << bytes;
  }
}

// A stream of valid messages with bodies of every kind, and for half of the seeds one byte changed.
std::string random_stream(std::mt19937_64& random) {
  auto below = [&](std::uint64_t n) { return random() % n; };
  std::string out;
  for (std::uint64_t messages = 1 + below(4); messages != 0; --messages) {
    out += below(2) == 0 ? "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\n"
                         : "PUT / HTTP/1.1\r\nHost: y:1\r\n";
    for (std::uint64_t fields = below(5); fields != 0; --fields) out += "X-Some: thing\r\n";
    std::string body(below(300), 'b');
    for (char& c : body) c = static_cast<char>(below(256));
    switch (below(3)) {
      case 0: out += "\r\n"; break;
      case 1: out += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body; break;
      default:
        out += "Transfer-Encoding: chunked\r\n\r\n";
        for (std::string_view rest = body; !rest.empty();) {
          const auto size = 1 + below(rest.size());
          out += chunk_begin(size) + std::string(rest.substr(0, size)) + "\r\n";
          rest.remove_prefix(size);
        }
        out += kLastChunk;
    }
  }
  if (below(2) == 0) out[below(out.size())] = static_cast<char>(below(256));
  return out;
}

TEST(DecoderProperty, any_split_of_the_bytes_gives_the_same_messages_or_the_same_refusal) {
  int refusals = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    std::mt19937_64 random(seed);
    const std::string bytes = random_stream(random);
    const auto whole = decode_whole(Side::server, bytes);
    refusals += whole.refused != 0 ? 1 : 0;
    ASSERT_EQ(decode(Side::server, bytes, [] { return 1; }), whole) << "seed " << seed;
    for (int round = 0; round < 5; ++round) {
      ASSERT_EQ(decode(Side::server, bytes, [&] { return 1 + random() % 40; }), whole)
          << "seed " << seed;
    }
  }
  EXPECT_GT(refusals, 40);
  EXPECT_LT(refusals, 360);
}

TEST(Encoder, what_it_writes_is_read_back_as_it_was) {
  const Headers headers{{"X-Test", "some value"}, {"Content-Type", "text/plain"}};
  const auto request = encode_request_head(Method::post, "/v1/x?y=%20", "localhost", headers,
                                           {Framing::Kind::chunked, 0});
  auto out = decode_whole(Side::server, request.value() + std::string(kLastChunk));
  ASSERT_EQ(out.messages.size(), 1U);
  EXPECT_EQ(out.messages[0].start, "POST /v1/x?y=%20");
  EXPECT_EQ(out.messages[0].headers.get("x-test"), "some value");
  EXPECT_TRUE(out.messages[0].complete);

  const auto response = encode_response_head(404, headers, {Framing::Kind::length, 3}, false);
  out = decode_whole(Side::client, response.value() + "abc");
  EXPECT_EQ(out.messages.at(0).start, "404");
  EXPECT_EQ(out.messages.at(0).body, "abc");
  EXPECT_FALSE(out.messages.at(0).keep_alive);
}

TEST(Encoder, text_from_outside_cannot_add_a_line) {
  const Framing none{};
  for (const Headers& headers :
       {Headers{{"X", "a\r\nSet-Cookie: b"}}, Headers{{"X", "a\nb"}}, Headers{{"X", "a\rb"}},
        Headers{{"X\r\nY", "a"}}, Headers{{"X:", "a"}}, Headers{{"", "a"}}, Headers{{"X", " a"}},
        Headers{{"X", std::string("a\0b", 3)}}, Headers{{"Content-Length", "5"}},
        Headers{{"transfer-encoding", "chunked"}}, Headers{{"CONNECTION", "close"}}}) {
    EXPECT_FALSE(encode_response_head(200, headers, none, true).ok());
    EXPECT_FALSE(encode_request_head(Method::get, "/", "a", headers, none).ok());
  }
  for (const std::string target : {"/a b", "/a\r\nX: y", "/\xc3\xa9", ""}) {
    EXPECT_FALSE(encode_request_head(Method::get, target, "a", {}, none).ok()) << target;
  }
  EXPECT_FALSE(encode_request_head(Method::get, "/", "a\r\nX: y", {}, none).ok());
}

TEST(Encoder, an_answer_without_content_has_no_length) {
  const std::string head = encode_response_head(204, {}, {}, true).value();
  EXPECT_EQ(head, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

TEST(Headers, names_are_compared_without_regard_to_case) {
  Headers headers{{"Content-Type", "a"}};
  headers.add("content-type", "b");
  EXPECT_EQ(headers.get("CONTENT-TYPE"), "a");
  EXPECT_EQ(headers.count("Content-type"), 2U);
  headers.set("content-TYPE", "c");
  EXPECT_EQ(headers.count("Content-Type"), 1U);
  headers.remove("CONTENT-type");
  EXPECT_EQ(headers.get("Content-Type"), std::nullopt);
}

}  // namespace
}  // namespace tare::http
