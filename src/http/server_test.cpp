// The server on a real socket: answers, order, framing, errors. What it bounds:
// server_limits_test.cpp.
#include <unistd.h>

#include "http/test_server.h"

namespace tare::http {
namespace {

TEST_F(ServerTest, answers_a_request_and_keeps_the_connection) {
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    for (int i = 0; i < 3; ++i) {
      TRY(wire.socket.write_all(get("/items/a%20b"), ctx));
      EXPECT_EQ(TRY(wire.read_until("a b", ctx)),
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
                "Connection: keep-alive\r\n\r\na b");
    }
    return {};
  });
  EXPECT_EQ(done_, (std::vector{200, 200, 200}));
}

TEST_F(ServerTest, pipelined_requests_are_answered_in_order) {
  with_server([&](const Context& ctx) -> Result<> {
    std::string requests, expected_order;
    for (int i = 0; i < 50; ++i) {
      requests += get("/items/" + std::to_string(i)) + post("/echo", "body" + std::to_string(i));
    }
    const auto answers = TRY(talk(requests, ctx));
    EXPECT_EQ(count_of("HTTP/1.1 200 OK", answers), 100U);
    std::size_t at = 0;
    for (int i = 0; i < 50; ++i) {
      at = answers.find("\r\n\r\n" + std::to_string(i), at);
      EXPECT_NE(at, answers.npos) << i;
      at = answers.find("\r\n\r\nbody" + std::to_string(i), at);
      EXPECT_NE(at, answers.npos) << i;
    }
    return {};
  });
}

TEST_F(ServerTest, requests_may_come_one_byte_at_a_time) {
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    const std::string
        bytes = get("/hello") +
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
                get("/hello");
    for (const char c : bytes) {
      TRY(wire.socket.write_all({&c, 1}, ctx));
      fiber::yield();
    }
    TRY(wire.socket.shutdown_write());
    EXPECT_EQ(count_of("200 OK", TRY(wire.read_to_end(ctx))), 4U);
    EXPECT_THAT(seen_.bodies, testing::ElementsAre("abc", ""));
    return {};
  });
}

TEST_F(ServerTest, errors_have_their_status_and_shape) {
  with_server([&](const Context& ctx) -> Result<> {
    EXPECT_THAT(TRY(talk(get("/nothing"), ctx)), StartsWith("HTTP/1.1 404 "));
    const auto wrong_method = TRY(talk("PUT /items/x HTTP/1.1\r\nHost: a\r\n\r\n", ctx));
    EXPECT_THAT(wrong_method, StartsWith("HTTP/1.1 405 "));
    EXPECT_THAT(wrong_method, HasSubstr("Allow: GET, DELETE, HEAD\r\n"));
    EXPECT_THAT(TRY(talk(get("/refused"), ctx)),
                HasSubstr(R"({"error":{"code":"conflict","message":"it is \"busy\"\n"}})"));
    EXPECT_THAT(TRY(talk(get("/silent"), ctx)), StartsWith("HTTP/1.1 500 "));
    EXPECT_THAT(TRY(talk(get("/injected"), ctx)), StartsWith("HTTP/1.1 500 "));
    EXPECT_THAT(TRY(talk(get("/a/../hello"), ctx)), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(TRY(talk(get("http://b/hello"), ctx)), StartsWith("HTTP/1.1 400 "));
    return {};
  });
}

TEST_F(ServerTest, after_an_error_of_a_handler_the_connection_goes_on) {
  with_server([&](const Context& ctx) -> Result<> {
    const auto answers = TRY(
        talk(get("/refused") + get("/nothing") + post("/nothing", "small") + get("/hello"), ctx));
    EXPECT_EQ(count_of("HTTP/1.1 ", answers), 4U);
    EXPECT_THAT(answers, HasSubstr("hello"));
    return {};
  });
}

TEST_F(ServerTest, behind_a_request_that_cannot_be_read_nothing_is_served) {
  with_server([&](const Context& ctx) -> Result<> {
    for (const std::string bad :
         {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: "
          "chunked\r\n\r\n0\r\n\r\n",
          "GET / HTTP/1.1\nHost: a\n\n", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
          "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
          "chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n"}) {
      const auto answers = TRY(talk(bad + get("/hello") + get("/hello"), ctx));
      EXPECT_THAT(answers, StartsWith("HTTP/1.1 400 ")) << bad;
      EXPECT_THAT(answers, HasSubstr("Connection: close\r\n"));
      EXPECT_EQ(count_of("HTTP/1.1 ", answers), 1U) << bad;
    }
    return {};
  });
}

TEST_F(ServerTest, head_is_get_without_the_body) {
  with_server([&](const Context& ctx) -> Result<> {
    const auto answers = TRY(
        talk("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"
             "HEAD /lengthy HTTP/1.1\r\nHost: a\r\n\r\n"
             "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n" +
                 get("/hello"),
             ctx));
    EXPECT_EQ(count_of("hello", answers), 1U);
    EXPECT_EQ(count_of("abc", answers), 0U);
    EXPECT_THAT(answers, HasSubstr("Content-Length: 6\r\n"));
    EXPECT_EQ(count_of("HTTP/1.1 ", answers), 4U);
    return {};
  });
}

TEST_F(ServerTest, speaks_http_1_0) {
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    TRY(wire.socket.write_all("GET /hello HTTP/1.0\r\n\r\n", ctx));
    EXPECT_THAT(TRY(wire.read_to_end(ctx)), HasSubstr("Connection: close\r\n\r\nhello"));
    auto stream = TRY(connect(ctx));
    TRY(stream.socket.write_all("GET /broken HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ctx));
    const auto answer = TRY(stream.read_to_end(ctx));
    EXPECT_THAT(answer, testing::EndsWith("\r\n\r\nhalf"));
    EXPECT_EQ(count_of("chunked", answer), 0U);
    return {};
  });
}

TEST_F(ServerTest, a_body_within_the_limit_arrives_whole) {
  with_server([&](const Context& ctx) -> Result<> {
    std::string body(100'000, 'x');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7);
    EXPECT_THAT(TRY(talk(post("/echo", body), ctx)), HasSubstr(body));
    return {};
  });
}

TEST_F(ServerTest, a_body_the_handler_did_not_read_does_not_become_a_request) {
  with_server([&](const Context& ctx) -> Result<> {
    // Little: skipped. Much: the connection is closed behind the answer.
    auto answers = TRY(talk(post("/ignore", get("/endless")) + get("/hello"), ctx));
    EXPECT_EQ(count_of("HTTP/1.1 200", answers), 2U);
    EXPECT_THAT(answers, testing::EndsWith("hello"));
    answers = TRY(
        talk(post("/ignore", std::string(200'000, '\n') + get("/hello")) + get("/hello"), ctx));
    EXPECT_EQ(count_of("HTTP/1.1 200", answers), 1U);
    EXPECT_THAT(answers, HasSubstr("Connection: close\r\n"));
    return {};
  });
}

TEST_F(ServerTest, tells_the_client_to_continue_when_the_handler_reads) {
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    const std::string head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    for (int i = 0; i < 2; ++i) {
      TRY(wire.socket.write_all(head, ctx));
      EXPECT_EQ(TRY(wire.read_until("\r\n\r\n", ctx)), "HTTP/1.1 100 Continue\r\n\r\n");
      TRY(wire.socket.write_all("body", ctx));
      EXPECT_THAT(TRY(wire.read_until("body", ctx)), StartsWith("HTTP/1.1 200 OK"));
    }
    // A final answer instead: whether the body comes cannot be known, so the connection ends.
    std::string refused = head;
    refused.replace(refused.find("/echo"), 5, "/none");
    TRY(wire.socket.write_all(refused, ctx));
    const auto answer = TRY(wire.read_to_end(ctx));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    return {};
  });
}

TEST_F(ServerTest, an_answer_that_breaks_off_has_no_last_chunk) {
  with_server([&](const Context& ctx) -> Result<> {
    const auto answer = TRY(talk(get("/broken") + get("/hello"), ctx));
    EXPECT_THAT(answer, testing::EndsWith("4\r\nhalf\r\n"));
    const auto shorter = TRY(talk(get("/too_short") + get("/hello"), ctx));
    EXPECT_THAT(shorter, testing::EndsWith("\r\n\r\nabc"));
    EXPECT_THAT(TRY(talk(get("/lengthy"), ctx)), testing::EndsWith("\r\n\r\nabcdef"));
    return {};
  });
}

TEST_F(ServerTest, admit_is_asked_before_anything_else) {
  options_.admit = [](Exchange& ex) -> Result<> {
    if (ex.request().headers.get("X-Key") == "good") return {};
    return Error{Errc::denied, "no key"};
  };
  with_server([&](const Context& ctx) -> Result<> {
    EXPECT_THAT(TRY(talk(get("/nothing"), ctx)), HasSubstr("\"denied\""));
    EXPECT_THAT(TRY(talk(get("/hello"), ctx)), HasSubstr("\"denied\""));
    EXPECT_THAT(TRY(talk(get("/hello", "X-Key: good\r\n"), ctx)), HasSubstr("hello"));
    return {};
  });
}

TEST_F(ServerTest, knows_its_peer_over_unix_and_tcp) {
  with_server([&](const Context& ctx) -> Result<> {
    EXPECT_THAT(TRY(talk(get("/peer"), ctx)), HasSubstr("unix " + std::to_string(::getuid())));
    Server server(routes(seen_), options_);
    auto listener = TRY(fiber::TcpListener::bind("127.0.0.1", 0, 16));
    fiber::TaskGroup group(ctx);
    group.spawn([&](const Context& task) { EXPECT_TRUE(server.serve(listener, task).ok()); });
    auto client = Client::over_tcp("127.0.0.1", listener.port());
    auto response = TRY(client.send({.target = "/peer"}, ctx));
    EXPECT_EQ(TRY(response.read_all(100, ctx)), "tcp");
    return {};
  });
}

}  // namespace
}  // namespace tare::http
