// The server against slow, greedy and vanishing clients, and its shutdown.
#include "http/test_server.h"

namespace tare::http {
namespace {

TEST_F(ServerTest, a_body_beyond_the_limit_is_413_and_the_connection_is_closed) {
  with_server([&](const Context& ctx) -> Result<> {
    const std::string large(100'001, 'x');
    auto answers = TRY(talk(post("/echo", large) + get("/hello"), ctx));
    EXPECT_THAT(answers, StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(count_of("HTTP/1.1 ", answers), 1U);
    // The same without a length: found while it is read.
    std::string chunks = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 11; ++i) chunks += "2710\r\n" + std::string(10'000, 'x') + "\r\n";
    answers = TRY(talk(chunks + "0\r\n\r\n" + get("/hello"), ctx));
    EXPECT_THAT(answers, StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(count_of("HTTP/1.1 ", answers), 1U);
    // A route that takes none.
    EXPECT_THAT(TRY(talk("GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", ctx)),
                StartsWith("HTTP/1.1 413 "));
    EXPECT_TRUE(seen_.bodies.empty());
    return {};
  });
}

TEST_F(ServerTest, a_head_that_does_not_end_is_cut_off) {
  options_.head_timeout = 30ms;
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    TRY(wire.socket.write_all("GET /hello HTTP/1.1\r\n", ctx));
    fiber::TaskGroup drip(ctx);
    drip.spawn([&](const Context& task) {
      while (wire.socket.write_all("X: y\r\n", task).ok()) {
        if (!fiber::sleep_for(2ms, task)) return;
      }
    });
    EXPECT_THAT(TRY(wire.read_to_end(ctx)), StartsWith("HTTP/1.1 408 "));
    return {};
  });
}

TEST_F(ServerTest, an_idle_connection_is_closed_without_a_word) {
  options_.idle_timeout = 20ms;
  with_server([&](const Context& ctx) -> Result<> {
    auto fresh = TRY(connect(ctx));
    EXPECT_EQ(TRY(fresh.read_to_end(ctx)), "");
    auto used = TRY(connect(ctx));
    TRY(used.socket.write_all(get("/hello"), ctx));
    EXPECT_THAT(TRY(used.read_to_end(ctx)), testing::EndsWith("hello"));
    return {};
  });
}

TEST_F(ServerTest, a_body_that_stops_is_cut_off) {
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    TRY(wire.socket.write_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
                              ctx));
    EXPECT_THAT(TRY(wire.read_to_end(ctx)), StartsWith("HTTP/1.1 408 "));
    // Drip by drip, always within the timeout, but far too slow on the whole.
    auto slow = TRY(connect(ctx));
    TRY(slow.socket.write_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
                              ctx));
    fiber::TaskGroup drip(ctx);
    drip.spawn([&](const Context& task) {
      while (slow.socket.write_all("x", task).ok()) {
        if (!fiber::sleep_for(5ms, task)) return;
      }
    });
    EXPECT_THAT(TRY(slow.read_to_end(ctx)), StartsWith("HTTP/1.1 408 "));
    return {};
  });
}

TEST_F(ServerTest, a_client_that_breaks_off_in_its_body_is_told_to_the_handler) {
  with_server([&](const Context& ctx) -> Result<> {
    EXPECT_EQ(
        count_of("200 OK",
                 TRY(talk("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", ctx))),
        0U);
    EXPECT_TRUE(seen_.bodies.empty());
    return {};
  });
}

TEST_F(ServerTest, a_client_that_leaves_a_stream_ends_it) {
  with_server([&](const Context& ctx) -> Result<> {
    {
      auto wire = TRY(connect(ctx));
      TRY(wire.socket.write_all(get("/endless"), ctx));
      TRY(wire.read_until("xxxxx", ctx));
    }
    TRY(seen_.changed.wait_until([&] { return !seen_.errors.empty(); }, ctx));
    EXPECT_THAT(seen_.errors[0], testing::AnyOf(Errc::unavailable, Errc::cancelled));
    EXPECT_LT(seen_.bytes, 4U << 20U);  // what the socket buffers held, not what memory could
    return {};
  });
}

TEST_F(ServerTest, a_client_that_does_not_read_is_cut_off_where_the_route_says_so) {
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    TRY(wire.socket.write_all(get("/stalled"), ctx));
    TRY(seen_.changed.wait_until([&] { return !seen_.errors.empty(); }, ctx));
    EXPECT_EQ(seen_.errors[0], Errc::timeout);
    const auto answer = TRY(wire.read_to_end(ctx));
    EXPECT_EQ(count_of("\r\n0\r\n\r\n", answer), 0U)
        << "a stream that broke off must not look complete";
    return {};
  });
}

TEST_F(ServerTest, a_handler_blocked_elsewhere_learns_that_the_client_has_gone) {
  with_server([&](const Context& ctx) -> Result<> {
    {
      auto wire = TRY(connect(ctx));
      TRY(wire.socket.write_all(get("/wait"), ctx));
      TRY(fiber::sleep_for(5ms, ctx));
      EXPECT_TRUE(seen_.errors.empty());
    }
    TRY(seen_.changed.wait_until([&] { return !seen_.errors.empty(); }, ctx));
    EXPECT_EQ(seen_.errors[0], Errc::cancelled);
    return {};
  });
}

TEST_F(ServerTest, a_client_that_only_ended_its_sending_still_gets_its_answer) {
  with_server([&](const Context& ctx) -> Result<> {
    fiber::TaskGroup group(ctx);
    group.spawn([&](const Context& task) {
      EXPECT_TRUE(fiber::sleep_for(5ms, task).ok());
      seen_.went = true;
      seen_.go.notify_all();
    });
    EXPECT_THAT(TRY(talk(get("/wait"), ctx)), HasSubstr("went"));
    EXPECT_TRUE(seen_.errors.empty());
    // But not where the route takes the end of sending for leaving.
    seen_.went = false;
    EXPECT_THAT(TRY(talk(get("/follow"), ctx)), HasSubstr("chunked"));
    EXPECT_THAT(seen_.errors, testing::ElementsAre(Errc::cancelled));
    return {};
  });
}

TEST_F(ServerTest, connections_beyond_the_limit_are_told_so) {
  options_.max_connections = 2;
  with_server([&](const Context& ctx) -> Result<> {
    auto first = TRY(connect(ctx));
    TRY(first.socket.write_all(get("/hello"), ctx));
    TRY(first.read_until("hello", ctx));
    {
      auto second = TRY(connect(ctx));
      TRY(second.socket.write_all(get("/hello"), ctx));
      TRY(second.read_until("hello", ctx));
      EXPECT_THAT(TRY(talk(get("/hello"), ctx)), StartsWith("HTTP/1.1 503 "));
    }
    for (;;) {  // the place becomes free when the server has seen it
      if (TRY(talk(get("/hello"), ctx)).starts_with("HTTP/1.1 200 ")) return {};
    }
  });
}

TEST_F(ServerTest, shutdown_lets_requests_finish_and_closes_idle_connections) {
  with_server([&](const Context& ctx) -> Result<> {
    Server server(routes(seen_), options_);
    const std::string path = dir_ + "/other";
    auto listener = TRY(fiber::UnixListener::bind(path, {}));
    fiber::CancelScope scope(ctx);
    fiber::TaskGroup group(ctx);
    group.spawn([&](const Context&) { EXPECT_TRUE(server.serve(listener, scope.context()).ok()); });
    Wire idle{TRY(fiber::connect_unix(path, ctx))};
    Wire busy{TRY(fiber::connect_unix(path, ctx))};
    Wire stuck{TRY(fiber::connect_unix(path, ctx))};
    TRY(busy.socket.write_all(get("/wait"), ctx));
    TRY(stuck.socket.write_all(get("/endless"), ctx));
    TRY(stuck.read_until("xxx", ctx));
    scope.cancel();
    EXPECT_EQ(TRY(idle.read_to_end(ctx)), "");
    seen_.went = true;
    seen_.go.notify_all();
    const auto answer = TRY(busy.read_to_end(ctx));
    EXPECT_THAT(answer, testing::EndsWith("went"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    group.join();  // the stuck one is cancelled when its time is over
    EXPECT_THAT(seen_.errors, testing::ElementsAre(Errc::cancelled));
    return {};
  });
}

}  // namespace
}  // namespace tare::http
