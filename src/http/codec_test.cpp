#include "http/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace tare::http {
namespace {

using Event = Decoder::Event;
using Side = Decoder::Side;

// All that came out of one stream of bytes; comparable, so that two ways of feeding can be compared.
struct Transcript {
  struct Message {
    std::string start;  // "POST /x" or "200"
    Headers headers;
    Framing framing;
    bool keep_alive = false;
    std::string body;
    bool complete = false;
    friend bool operator==(const Message&, const Message&) = default;
  };
  std::vector<Message> messages;
  int refused = 0;  // status, 0: not refused
  friend bool operator==(const Transcript&, const Transcript&) = default;
};

// Feeds `bytes` in pieces: `next_size` says how large the next one is.
template <class NextSize>
Transcript decode(Side side, std::string_view bytes, NextSize next_size, HeadLimits limits = {}) {
  Decoder decoder(side, limits);
  Transcript out;
  std::string pending;
  for (;;) {
    // A copy of exact size for each call: ASan sees a read behind it, and stale views cannot hide.
    const std::vector<char> input(pending.begin(), pending.end());
    auto step = decoder.next({input.data(), input.size()});
    if (!step) {
      out.refused = decoder.status();
      return out;
    }
    if (step->event == Event::head) {
      const bool server = side == Side::server;
      const Head& head = server ? static_cast<const Head&>(decoder.request()) : decoder.response();
      out.messages.push_back({server ? std::string(to_string(decoder.request().method)) + " " +
                                           decoder.request().target
                                     : std::to_string(decoder.response().status),
                              head.headers, head.framing, head.keep_alive, "", false});
    }
    if (step->event == Event::body) {
      EXPECT_FALSE(step->body.empty());
      out.messages.back().body += step->body;
    }
    if (step->event == Event::end) out.messages.back().complete = true;
    pending.erase(0, step->consumed);
    if (step->event != Event::need_more) continue;
    if (bytes.empty()) return out;
    const std::size_t size = std::min(bytes.size(), std::max<std::size_t>(1, next_size()));
    pending += bytes.substr(0, size);
    bytes.remove_prefix(size);
  }
}

Transcript decode_whole(Side side, std::string_view bytes, HeadLimits limits = {}) {
  return decode(side, bytes, [&] { return bytes.size(); }, limits);
}

std::string get(std::string_view fields) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
std::string chunked(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
}

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
  const auto out =
      decode_whole(Side::server, chunked("5\r\nhello\r\n00a\r\n, world!!\n\r\n0\r\n\r\n") + get(""));
  ASSERT_EQ(out.refused, 0);
  ASSERT_EQ(out.messages.size(), 2U);
  EXPECT_EQ(out.messages[0].body, "hello, world!!\n");
  EXPECT_TRUE(out.messages[0].complete);
}

TEST(Decoder, a_body_may_hold_what_looks_like_a_request) {
  const std::string inner = get("");
  const auto out = decode_whole(
      Side::server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(inner.size()) +
                        "\r\n\r\n" + inner);
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

struct Hostile {
  std::string name;
  std::string bytes;
  int status = 400;
};
std::ostream& operator<<(std::ostream& out, const Hostile& hostile) { return out << hostile.name; }

class HostileRequest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileRequest, is_refused_whole_and_byte_by_byte) {
  const auto& [name, bytes, status] = GetParam();
  const auto whole = decode_whole(Side::server, bytes);
  EXPECT_EQ(whole.refused, status) << name;
  for (const auto& message : whole.messages) EXPECT_FALSE(message.complete) << name;
  EXPECT_EQ(decode(Side::server, bytes, [] { return 1; }), whole) << name;
}

std::string with_zero(std::string_view text) {
  std::string out(text);
  out[out.find('@')] = '\0';
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Framing, HostileRequest,
    testing::Values(
        Hostile{"CL and TE", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
        Hostile{"TE and CL", get("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
        Hostile{"TE twice", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
        Hostile{"TE identity first",
                get("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n")},
        Hostile{"TE xchunked", get("Transfer-Encoding: xchunked\r\n")},
        Hostile{"TE list", get("Transfer-Encoding: gzip, chunked\r\n")},
        Hostile{"TE chunked twice in a list", get("Transfer-Encoding: chunked, chunked\r\n")},
        Hostile{"TE quoted", get("Transfer-Encoding: \"chunked\"\r\n")},
        Hostile{"TE with parameter", get("Transfer-Encoding: chunked;a=b\r\n")},
        Hostile{"TE with vertical tab", get("Transfer-Encoding: \vchunked\r\n")},
        Hostile{"TE empty", get("Transfer-Encoding:\r\n")},
        Hostile{"TE in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        Hostile{"TE on a folded line", get("X: y\r\n Transfer-Encoding: chunked\r\n")},
        Hostile{"two CL that differ", get("Content-Length: 5\r\nContent-Length: 6\r\n")},
        Hostile{"two CL that agree", get("Content-Length: 5\r\nContent-Length: 5\r\n")},
        Hostile{"CL with plus", get("Content-Length: +5\r\n")},
        Hostile{"CL negative", get("Content-Length: -5\r\n")},
        Hostile{"CL list", get("Content-Length: 5, 5\r\n")},
        Hostile{"CL hexadecimal", get("Content-Length: 0x5\r\n")},
        Hostile{"CL with inner space", get("Content-Length: 5 5\r\n")},
        Hostile{"CL with decimals", get("Content-Length: 5.0\r\n")},
        Hostile{"CL empty", get("Content-Length: \r\n")},
        Hostile{"CL beyond 64 bits", get("Content-Length: 18446744073709551621\r\n")},
        Hostile{"CL of 19 digits", get("Content-Length: 9223372036854775808\r\n")}));

INSTANTIATE_TEST_SUITE_P(
    Chunks, HostileRequest,
    testing::Values(Hostile{"size overflows", chunked("ffffffffffffffff1\r\nx")},
                    Hostile{"0x prefix", chunked("0x5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"size with plus", chunked("+5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"size negative", chunked("-5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"space before size", chunked(" 5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"space behind size", chunked("5 \r\nhello\r\n0\r\n\r\n")},
                    Hostile{"no size", chunked("\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"extension with LF", chunked("5;\nhello\r\n0\r\n\r\n")},
                    Hostile{"extension on the last chunk", chunked("5\r\nhello\r\n0;x\r\n\r\n")},
                    Hostile{"bare LF behind size", chunked("5\nhello\r\n0\r\n\r\n")},
                    Hostile{"bare CR behind size", chunked("5\rhello\r\n0\r\n\r\n")},
                    Hostile{"bare LF behind data", chunked("5\r\nhello\n0\r\n\r\n")},
                    Hostile{"data longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"trailer", chunked("0\r\nA: b\r\n\r\n")},
                    Hostile{"trailer with Authorization",
                            chunked("5\r\nhello\r\n0\r\nAuthorization: x\r\n\r\n")},
                    Hostile{"trailer that never ends", chunked("0\r\n" + std::string(100, 'a'))},
                    Hostile{"size that never ends", chunked(std::string(100, '0'))},
                    Hostile{"many leading zeros",
                            chunked(std::string(40, '0') + "5\r\nhello\r\n0\r\n\r\n")}));

INSTANTIATE_TEST_SUITE_P(
    Heads, HostileRequest,
    testing::Values(
        Hostile{"bare LF lines", "GET / HTTP/1.1\nHost: a\n\n"},
        Hostile{"bare LF in a field", get("X: y\nZ: w\r\n")},
        Hostile{"bare CR in a field", get("X: y\rZ: w\r\n")},
        Hostile{"CR CR LF", get("X: y\r\r\n")},
        Hostile{"empty line first", "\r\n" + get("")},
        Hostile{"folded with space", get("X: y\r\n z\r\n")},
        Hostile{"folded with tab", get("X: y\r\n\tz\r\n")},
        Hostile{"first field folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
        Hostile{"space before colon", get("X : y\r\n")},
        Hostile{"tab before colon", get("X\t: y\r\n")},
        Hostile{"no colon", get("X\r\n")},
        Hostile{"empty name", get(": y\r\n")},
        Hostile{"name not ASCII", get("X\xc3\xa9: y\r\n")},
        Hostile{"name with zero", with_zero(get("X@: y\r\n"))},
        Hostile{"value with zero", with_zero(get("X: y@\r\n"))},
        Hostile{"value with escape", get("X: \x1b[0m\r\n")},
        Hostile{"value with DEL", get("X: \x7f\r\n")},
        Hostile{"no Host", "GET / HTTP/1.1\r\n\r\n"},
        Hostile{"two Hosts", get("Host: b\r\n")},
        Hostile{"two equal Hosts", get("HOST: a\r\n")},
        Hostile{"Host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
        Hostile{"Host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        Hostile{"Host with escape", "GET / HTTP/1.1\r\nHost: a%00b\r\n\r\n"},
        Hostile{"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
        Hostile{"Host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        Hostile{"Host not ASCII", "GET / HTTP/1.1\r\nHost: \xd0\xb0\r\n\r\n"},
        Hostile{"Host with bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
        Hostile{"Host with open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
        Hostile{"Connection malformed", get("Connection: a b\r\n")},
        Hostile{"PROXY preamble", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + get("")},
        Hostile{"PROXY v2 preamble", with_zero("\r\n\r\n@\r\nQUIT\n")},
        Hostile{"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)}));

INSTANTIATE_TEST_SUITE_P(
    StartLines, HostileRequest,
    testing::Values(
        Hostile{"HTTP/0.9", "GET /\r\n\r\n"}, Hostile{"no version", "GET / \r\n\r\n"},
        Hostile{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
        Hostile{"space in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"raw UTF-8 in target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"method with slash", "GE/T / HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"lower case version", "GET / http/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"long minor version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
        Hostile{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        Hostile{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        Hostile{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
        Hostile{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        Hostile{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        Hostile{"lower case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        Hostile{"unknown expectation", get("Expect: 200-ok\r\nContent-Length: 1\r\n"), 417},
        Hostile{"64 KiB request line", "GET /" + std::string(65'536, 'a'), 414},
        Hostile{"64 KiB field", get("X: " + std::string(65'536, 'a')), 431},
        Hostile{"ten thousand fields",
                [] {
                  std::string fields;
                  for (int i = 0; i < 10'000; ++i) fields += "A:\r\n";
                  return get(fields);
                }(),
                431},
        Hostile{"endless fields within their limits",
                [] {
                  std::string fields;
                  for (int i = 0; i < 90; ++i) fields += "X: " + std::string(1'000, 'a') + "\r\n";
                  return get(fields);
                }(),
                431}));

TEST(Decoder, limits_are_exact) {
  const HeadLimits limits{.head_bytes = 100, .line_bytes = 40, .fields = 3};
  auto refused = [&](const std::string& bytes) { return decode_whole(Side::server, bytes, limits).refused; };
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";  // 25 bytes
  EXPECT_EQ(refused(start + "X: " + std::string(37, 'x') + "\r\n\r\n"), 0);
  EXPECT_EQ(refused(start + "X: " + std::string(38, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(refused(start + "A:\r\nB:\r\n\r\n"), 0);
  EXPECT_EQ(refused(start + "A:\r\nB:\r\nC:\r\n\r\n"), 431);
  EXPECT_EQ(refused(start + std::string(35, 'x') + ":\r\n" + std::string(32, 'x') + ":\r\n\r\n"), 0);
  EXPECT_EQ(refused(start + std::string(35, 'x') + ":\r\n" + std::string(33, 'x') + ":\r\n\r\n"), 431);
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
  const auto out = decode_whole(Side::client,
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
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 999 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 2e2 OK\r\n\r\n"}) {
    EXPECT_NE(decode_whole(Side::client, bytes).refused, 0) << bytes;
  }
}

// A stream of valid messages with bodies of every kind, and for half of the seeds one byte changed.
std::string random_stream(std::mt19937_64& random) {
  auto below = [&](std::uint64_t n) { return random() % n; };
  std::string out;
  for (std::uint64_t messages = 1 + below(4); messages != 0; --messages) {
    out += below(2) == 0 ? "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\n" : "PUT / HTTP/1.1\r\nHost: y:1\r\n";
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
      ASSERT_EQ(decode(Side::server, bytes, [&] { return 1 + random() % 40; }), whole) << "seed " << seed;
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
