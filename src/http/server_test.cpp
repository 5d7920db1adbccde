#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "fiber/event.h"
#include "fiber/loop.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"
#include "http/client.h"

namespace tare::http {
namespace {

using namespace std::chrono_literals;
using fiber::Context;
using testing::HasSubstr;
using testing::StartsWith;

// What the handlers of the routes below have seen.
struct Seen {
  std::vector<std::string> bodies;
  std::vector<Errc> errors;
  std::uint64_t bytes = 0;
  fiber::Event changed;
  fiber::Event go;
  bool went = false;

  Result<> note(Result<> result) {
    if (!result) {
      errors.push_back(result.error().code);
      changed.notify_all();
    }
    return result;
  }
};

std::vector<Route> routes(Seen& seen) {
  auto text = [](std::string body) {
    return Response{.status = 200, .headers = {{"Content-Type", "text/plain"}}, .body = std::move(body)};
  };
  return {
      {.method = Method::get, .path = "/hello", .handler = [=](Exchange& ex) { return ex.reply(text("hello")); }},
      {.method = Method::get,
       .path = "/items/{id}",
       .handler = [=](Exchange& ex) { return ex.reply(text(ex.parameter("id"))); }},
      {.method = Method::get,
       .path = "/peer",
       .handler =
           [=](Exchange& ex) {
             const auto* peer = std::get_if<fiber::UnixPeer>(&ex.peer());
             return ex.reply(text(peer != nullptr ? "unix " + std::to_string(peer->uid) : "tcp"));
           }},
      {.method = Method::post,
       .path = "/echo",
       .handler =
           [&seen, text](Exchange& ex) -> Result<> {
             auto body = TRY(ex.read_all());
             seen.bodies.push_back(body);
             return ex.reply(text(std::move(body)));
           },
       .max_body_bytes = 100'000,
       .body_timeout = 50ms},
      {.method = Method::post,
       .path = "/ignore",
       .handler = [=](Exchange& ex) { return ex.reply(text("ignored")); },
       .max_body_bytes = std::uint64_t{1} << 40},
      {.method = Method::post,
       .path = "/count",
       .handler =
           [&seen, text](Exchange& ex) -> Result<> {
             for (;;) {
               const auto bytes = TRY(ex.read());
               if (bytes.empty()) break;
               seen.bytes += bytes.size();
             }
             return ex.reply(text(std::to_string(ex.bytes_read())));
           },
       .max_body_bytes = std::uint64_t{1} << 40},
      {.method = Method::post,  // answers while it reads
       .path = "/duplex",
       .handler =
           [](Exchange& ex) -> Result<> {
             TRY(ex.start(200, {}, std::nullopt));
             for (;;) {
               const auto bytes = TRY(ex.read());
               if (bytes.empty()) return {};
               TRY(ex.write(std::string(bytes) + "!"));
             }
           },
       .max_body_bytes = 1'000,
       .body_timeout = 0ms},
      {.method = Method::get,  // a stream that never ends
       .path = "/endless",
       .handler =
           [&seen](Exchange& ex) -> Result<> {
             TRY(ex.start(200, {}, std::nullopt));
             const std::string block(64 << 10, 'x');
             for (;;) {
               TRY(seen.note(ex.write(block)));
               seen.bytes += block.size();
             }
           },
       .write_timeout = 0ms},
      {.method = Method::get,
       .path = "/stalled",
       .handler =
           [&seen](Exchange& ex) -> Result<> {
             TRY(ex.start(200, {}, std::nullopt));
             const std::string block(1 << 20, 'x');
             for (;;) TRY(seen.note(ex.write(block)));
           },
       .write_timeout = 20ms},
      {.method = Method::get,  // blocked elsewhere
       .path = "/wait",
       .handler =
           [&seen, text](Exchange& ex) -> Result<> {
             TRY(seen.note(seen.go.wait_until([&] { return seen.went; }, ex.context())));
             return ex.reply(text("went"));
           }},
      {.method = Method::get,
       .path = "/follow",
       .handler =
           [&seen](Exchange& ex) -> Result<> {
             TRY(ex.start(200, {}, std::nullopt));
             TRY(ex.write("first"));
             return seen.note(seen.go.wait_until([&] { return seen.went; }, ex.context()));
           },
       .ends_with_peer = true},
      {.method = Method::get,
       .path = "/refused",
       .handler = [](Exchange&) -> Result<> { return Error{Errc::conflict, "it is \"busy\"\n"}; }},
      {.method = Method::get,
       .path = "/broken",
       .handler =
           [](Exchange& ex) -> Result<> {
             TRY(ex.start(200, {}, std::nullopt));
             TRY(ex.write("half"));
             return Error{Errc::internal, "disk on fire"};
           }},
      {.method = Method::get, .path = "/silent", .handler = [](Exchange&) { return ok(); }},
      {.method = Method::get,
       .path = "/injected",
       .handler =
           [](Exchange& ex) {
             return ex.reply({.status = 200, .headers = {{"X", "a\r\nY: b"}}, .body = ""});
           }},
      {.method = Method::get,
       .path = "/lengthy",
       .handler =
           [](Exchange& ex) -> Result<> {
             TRY(ex.start(200, {}, 6));
             TRY(ex.write("abc"));
             return ex.write("def");
           }},
      {.method = Method::get,
       .path = "/too_short",
       .handler =
           [](Exchange& ex) -> Result<> {
             TRY(ex.start(200, {}, 6));
             return ex.write("abc");
           }},
      {.method = Method::del,
       .path = "/items/{id}",
       .handler = [](Exchange& ex) { return ex.reply({.status = 204}); }},
  };
}

// A raw client: bytes out, bytes in, on the fiber's loop.
struct Wire {
  fiber::Socket socket;

  Result<std::string> read_to_end(const Context& ctx) {
    std::string all;
    std::array<char, 65'536> buffer;
    for (;;) {
      auto count = socket.read_some(buffer, ctx);
      if (!count && count.error().code == Errc::unavailable) return all;  // reset: also an end
      if (TRY(std::move(count)) == 0) return all;
      all.append(buffer.data(), *count);
    }
  }
  // Until the text has come.
  Result<std::string> read_until(std::string_view text, const Context& ctx) {
    std::string all;
    std::array<char, 1'000> buffer;
    while (all.find(text) == all.npos) {
      const auto count = TRY(socket.read_some(buffer, ctx));
      if (count == 0) return Error{Errc::unavailable, "ended after: " + all};
      all.append(buffer.data(), count);
    }
    return all;
  }
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    std::string name = "/tmp/tare_http_XXXXXX";
    dir_ = ::mkdtemp(name.data());
    path_ = dir_ + "/s";
    options_.head_timeout = 2s;
    options_.idle_timeout = 5s;
    options_.drain_timeout = 100ms;
    options_.on_done = [this](const RequestRecord& record) { done_.push_back(record.status); };
  }
  ~ServerTest() override { std::filesystem::remove_all(dir_); }

  // Runs the body beside a server on a unix socket; the server has shut down when this returns.
  template <class Body>
  void with_server(Body body) {
    const auto result = fiber::run_fiber([&](const Context& root) -> Result<> {
      const Context ctx = root.with_timeout(60s);  // a hanging test fails
      Server server(routes(seen_), options_);
      auto listener = TRY(fiber::UnixListener::bind(path_, {}));
      fiber::TaskGroup group(ctx);
      group.spawn([&](const Context& task) { EXPECT_TRUE(server.serve(listener, task).ok()); });
      const Result<> outcome = body(ctx);
      group.cancel();
      group.join();
      return outcome;
    });
    ASSERT_TRUE(result.ok()) << result.error().message;
  }

  Result<Wire> connect(const Context& ctx) { return Wire{TRY(fiber::connect_unix(path_, ctx))}; }

  // Sends the bytes, ends sending, returns all that comes back.
  Result<std::string> talk(std::string_view bytes, const Context& ctx) {
    auto wire = TRY(connect(ctx));
    (void)wire.socket.write_all(bytes, ctx);  // a server that refuses early may close
    (void)wire.socket.shutdown_write();
    return wire.read_to_end(ctx);
  }

  std::string dir_, path_;
  ServerOptions options_;
  Seen seen_;
  std::vector<int> done_;
};

std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
std::string post(std::string_view path, std::string_view body, std::string_view fields = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
std::size_t count_of(std::string_view needle, std::string_view text) {
  std::size_t count = 0;
  for (auto at = text.find(needle); at != text.npos; at = text.find(needle, at + 1)) ++count;
  return count;
}

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
    const std::string bytes =
        get("/hello") +
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get("/hello");
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
    const auto answers = TRY(talk(get("/refused") + get("/nothing") + post("/nothing", "small") + get("/hello"), ctx));
    EXPECT_EQ(count_of("HTTP/1.1 ", answers), 4U);
    EXPECT_THAT(answers, HasSubstr("hello"));
    return {};
  });
}

TEST_F(ServerTest, behind_a_request_that_cannot_be_read_nothing_is_served) {
  with_server([&](const Context& ctx) -> Result<> {
    for (const std::string bad :
         {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "GET / HTTP/1.1\nHost: a\n\n", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
          "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n"}) {
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
    const auto answers = TRY(talk("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "HEAD /lengthy HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello"), ctx));
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
    answers = TRY(talk(post("/ignore", std::string(200'000, '\n') + get("/hello")) + get("/hello"), ctx));
    EXPECT_EQ(count_of("HTTP/1.1 200", answers), 1U);
    EXPECT_THAT(answers, HasSubstr("Connection: close\r\n"));
    return {};
  });
}

TEST_F(ServerTest, tells_the_client_to_continue_when_the_handler_reads) {
  with_server([&](const Context& ctx) -> Result<> {
    auto wire = TRY(connect(ctx));
    const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
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
    TRY(wire.socket.write_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", ctx));
    EXPECT_THAT(TRY(wire.read_to_end(ctx)), StartsWith("HTTP/1.1 408 "));
    // Drip by drip, always within the timeout, but far too slow on the whole.
    auto slow = TRY(connect(ctx));
    TRY(slow.socket.write_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", ctx));
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
    EXPECT_EQ(count_of("200 OK", TRY(talk("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", ctx))),
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
    EXPECT_EQ(count_of("\r\n0\r\n\r\n", answer), 0U) << "a stream that broke off must not look complete";
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

// ---- The client, against the same server

// 0 under sanitizers, which keep freed memory.
std::size_t resident_bytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 0;
#endif
  std::size_t pages = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  EXPECT_EQ(std::fscanf(file, "%*s %zu", &pages), 1);
  std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

using ClientTest = ServerTest;

TEST_F(ClientTest, keeps_its_connection_and_survives_its_loss) {
  options_.idle_timeout = 20ms;
  with_server([&](const Context& ctx) -> Result<> {
    auto client = Client::over_unix(path_);
    for (int i = 0; i < 3; ++i) {
      auto response = TRY(client.send({.target = "/hello"}, ctx));
      EXPECT_EQ(response.status(), 200);
      EXPECT_EQ(response.headers().get("content-type"), "text/plain");
      EXPECT_EQ(TRY(response.read_all(100, ctx)), "hello");
      if (i == 1) TRY(fiber::sleep_for(40ms, ctx));  // the server closes it
    }
    return {};
  });
}

TEST_F(ClientTest, sends_bodies_and_reads_errors) {
  with_server([&](const Context& ctx) -> Result<> {
    auto client = Client::over_unix(path_);
    auto echoed = TRY(client.send({.method = Method::post, .target = "/echo", .body = "some body"}, ctx));
    EXPECT_EQ(TRY(echoed.read_all(100, ctx)), "some body");
    auto missing = TRY(client.send({.target = "/nothing"}, ctx));
    EXPECT_EQ(missing.status(), 404);
    EXPECT_EQ(missing.read_all(10, ctx).error().code, Errc::exhausted);
    auto gone = TRY(client.send({.method = Method::del, .target = "/items/1"}, ctx));
    EXPECT_EQ(gone.status(), 204);
    EXPECT_EQ(TRY(gone.read_all(10, ctx)), "");
    auto head = TRY(client.send({.method = Method::head, .target = "/lengthy"}, ctx));
    EXPECT_EQ(TRY(head.read_all(10, ctx)), "");
    auto broken = TRY(client.send({.target = "/broken"}, ctx));
    EXPECT_EQ(broken.read_all(100, ctx).error().code, Errc::unavailable);
    return {};
  });
}

TEST_F(ClientTest, a_gigabyte_up_is_streamed_in_bounded_memory) {
  with_server([&](const Context& ctx) -> Result<> {
    constexpr std::uint64_t kTotal = std::uint64_t{1} << 30;
    const auto before = resident_bytes();
    for (const bool with_length : {false, true}) {
      auto client = Client::over_unix(path_);
      seen_.bytes = 0;
      ClientRequest request{.method = Method::post, .target = "/count"};
      if (with_length) request.source_length = kTotal;
      request.source = [sent = std::uint64_t{0}](std::span<char> buffer, const Context&) mutable -> Result<std::size_t> {
        const auto size = std::min<std::uint64_t>(buffer.size(), kTotal - sent);
        sent += size;
        return static_cast<std::size_t>(size);
      };
      auto response = TRY(client.send(std::move(request), ctx));
      EXPECT_EQ(TRY(response.read_all(100, ctx)), std::to_string(kTotal));
      EXPECT_EQ(seen_.bytes, kTotal);
    }
    EXPECT_LT(resident_bytes(), before + (std::size_t{8} << 20U));
    return {};
  });
}

TEST_F(ClientTest, a_gigabyte_down_is_streamed_in_bounded_memory) {
  with_server([&](const Context& ctx) -> Result<> {
    const auto before = resident_bytes();
    auto client = Client::over_unix(path_);
    auto response = TRY(client.send({.target = "/endless"}, ctx));
    std::uint64_t total = 0;
    while (total < std::uint64_t{1} << 30U) total += TRY(response.read(ctx)).size();
    EXPECT_LT(resident_bytes(), before + (std::size_t{8} << 20U));
    return {};
  });
}

TEST_F(ClientTest, both_directions_stream_at_once) {
  with_server([&](const Context& ctx) -> Result<> {
    auto client = Client::over_unix(path_);
    // Each word is asked for only after the answer to the one before has come.
    fiber::Event next;
    int allowed = 1;
    ClientRequest request{.method = Method::post, .target = "/duplex"};
    request.source = [&, sent = 0](std::span<char> buffer, const Context& task) mutable -> Result<std::size_t> {
      if (sent == 3) return std::size_t{0};
      TRY(next.wait_until([&] { return allowed > sent; }, task));
      buffer[0] = static_cast<char>('a' + sent++);
      return std::size_t{1};
    };
    auto response = TRY(client.send(std::move(request), ctx));
    std::string all;
    for (;;) {
      const auto bytes = TRY(response.read(ctx));
      if (bytes.empty()) break;
      all += bytes;
      ++allowed;
      next.notify_all();
    }
    EXPECT_EQ(all, "a!b!c!");
    TRY(response.wait_uploaded(ctx));
    return {};
  });
}

TEST_F(ClientTest, an_early_answer_ends_the_upload) {
  with_server([&](const Context& ctx) -> Result<> {
    auto client = Client::over_unix(path_);
    Errc source_saw = Errc::internal;
    ClientRequest request{.method = Method::post, .target = "/ignore"};
    request.source = [&](std::span<char>, const Context& task) -> Result<std::size_t> {
      auto slept = fiber::sleep_for(24h, task);
      source_saw = slept.error().code;
      return std::move(slept).error();
    };
    {
      auto response = TRY(client.send(std::move(request), ctx));
      EXPECT_EQ(TRY(response.read_all(100, ctx)), "ignored");
    }
    EXPECT_EQ(source_saw, Errc::cancelled);
    auto after = TRY(client.send({.target = "/hello"}, ctx));
    EXPECT_EQ(TRY(after.read_all(100, ctx)), "hello");
    return {};
  });
}

TEST_F(ClientTest, a_large_upload_that_is_refused_gets_the_refusal) {
  with_server([&](const Context& ctx) -> Result<> {
    auto client = Client::over_unix(path_);
    ClientRequest request{.method = Method::post, .target = "/echo"};
    request.source = [](std::span<char> buffer, const Context&) -> Result<std::size_t> { return buffer.size(); };
    auto response = TRY(client.send(std::move(request), ctx));
    EXPECT_EQ(response.status(), 413);
    EXPECT_THAT(TRY(response.read_all(1'000, ctx)), HasSubstr("larger than 100000 bytes"));
    auto whole = TRY(client.send(
        {.method = Method::post, .target = "/echo", .body = std::string(2 << 20, 'x')}, ctx));
    EXPECT_EQ(whole.status(), 413);
    return {};
  });
}

TEST_F(ClientTest, a_source_that_fails_breaks_the_request_off) {
  with_server([&](const Context& ctx) -> Result<> {
    auto client = Client::over_unix(path_);
    for (const bool lies : {false, true}) {
      ClientRequest request{.method = Method::post, .target = "/echo"};
      if (lies) request.source_length = 10;
      request.source = [&, calls = 0](std::span<char> buffer, const Context&) mutable -> Result<std::size_t> {
        if (++calls == 1) {
          buffer[0] = 'x';
          return std::size_t{1};
        }
        if (lies) return std::size_t{0};
        return Error{Errc::denied, "file vanished"};
      };
      const auto response = client.send(std::move(request), ctx);
      EXPECT_EQ(response.error().code, lies ? Errc::invalid : Errc::denied);
    }
    EXPECT_TRUE(seen_.bodies.empty());
    return {};
  });
}

TEST_F(ClientTest, deadlines_and_missing_servers_are_errors) {
  with_server([&](const Context& ctx) -> Result<> {
    auto client = Client::over_unix(path_);
    EXPECT_EQ(client.send({.target = "/wait"}, ctx.with_timeout(10ms)).error().code, Errc::timeout);
    auto nobody = Client::over_unix(dir_ + "/nobody");
    EXPECT_EQ(nobody.send({.target = "/hello"}, ctx).error().code, Errc::not_found);
    EXPECT_EQ(client.send({.target = "/a b"}, ctx).error().code, Errc::invalid);
    return {};
  });
}

// A server that says exactly what the test wants.
TEST(ClientAgainstHostileServer, refuses_what_is_not_strict_and_never_reuses_such_a_connection) {
  const std::vector<std::string> answers{
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
      "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
      "garbage\r\n\r\n",
      "",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      [] {
        std::string storm;
        for (int i = 0; i < 100; ++i) storm += "HTTP/1.1 103 Early Hints\r\n\r\n";
        return storm + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
      }(),
      "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'),
  };
  const auto result = fiber::run_fiber([&](const Context& root) -> Result<> {
    const Context ctx = root.with_timeout(30s);
    auto listener = TRY(fiber::TcpListener::bind("127.0.0.1", 0, 16));
    fiber::TaskGroup group(ctx);
    int connections = 0;
    group.spawn([&](const Context& task) {
      for (const auto& answer : answers) {
        auto peer = listener.accept(task);
        ASSERT_TRUE(peer.ok());
        ++connections;
        std::array<char, 1'000> buffer;
        EXPECT_TRUE(peer->read_some(buffer, task).ok());
        (void)peer->write_all(answer, task);
        (void)peer->shutdown_write();
        while (peer->read_some(buffer, task).value_or(0) != 0) {
        }
      }
      // A response with more behind it: right, but the connection is poisoned.
      for (int i = 0; i < 2; ++i) {
        auto peer = listener.accept(task);
        ASSERT_TRUE(peer.ok());
        ++connections;
        std::array<char, 1'000> buffer;
        EXPECT_TRUE(peer->read_some(buffer, task).ok());
        (void)peer->write_all("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"
                              "Content-Length: 6\r\n\r\npoison", task);
        while (peer->read_some(buffer, task).value_or(0) != 0) {
        }
      }
    });
    auto client = Client::over_tcp("127.0.0.1", listener.port());
    for (const auto& answer : answers) {
      EXPECT_FALSE(client.send({.target = "/"}, ctx).ok()) << answer.substr(0, 60);
    }
    for (int i = 0; i < 2; ++i) {
      auto response = TRY(client.send({.target = "/"}, ctx));
      EXPECT_EQ(TRY(response.read_all(100, ctx)), "ok");
    }
    group.join();
    EXPECT_EQ(connections, 9);
    return {};
  });
  ASSERT_TRUE(result.ok()) << result.error().message;
}

}  // namespace
}  // namespace tare::http
