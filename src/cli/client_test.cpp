#include "cli/client.h"

#include "cli/fake_tared.h"

namespace tare::cli {
namespace {

using http::Exchange;
using http::Method;

TEST(Client, answers_are_json) {
  FakeTared fake({{.method = Method::get, .path = "/v1/health", .handler = [](Exchange& ex) {
                     return reply_json(ex, 200, JsonObject{{"ready", true}});
                   }}});
  fake.run([](App& app, const fiber::Context& ctx) {
    const auto answer = app.client.get("/v1/health", ctx);
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(to_text(answer->body), R"({"ready":true})");
  });
}

TEST(Client, what_is_posted_arrives_as_json) {
  std::string type, body;
  FakeTared fake({{.method = Method::post,
                   .path = "/v1/runs",
                   .handler = [&](Exchange& ex) -> Result<> {
                     type = ex.request().headers.get("Content-Type").value_or("");
                     body = TRY(ex.read_all());
                     return reply_json(ex, 202, nullptr);
                   },
                   .max_body_bytes = 1000}});
  fake.run([](App& app, const fiber::Context& ctx) {
    EXPECT_EQ(app.client.post("/v1/runs", JsonObject{{"a", 1}}, ctx)->status, 202);
  });
  EXPECT_EQ(type, "application/json");
  EXPECT_EQ(body, R"({"a":1})");
}

TEST(Client, a_refusal_of_the_server_comes_back_as_its_error) {
  FakeTared fake(
      {{.method = Method::get,
        .path = "/field",
        .handler =
            [](Exchange& ex) {
              return reply_error(ex, 400, "invalid", "too many", "limits.pids");
            }},
       {.method = Method::get,
        .path = "/new",
        .handler = [](Exchange& ex) { return reply_error(ex, 418, "teapot", "a newer server's"); }},
       {.method = Method::get, .path = "/other", .handler = [](Exchange& ex) {
          return ex.reply({.status = 502, .headers = {}, .body = "<html>Bad gateway"});
        }}});
  fake.run([](App& app, const fiber::Context& ctx) {
    const auto field = app.client.get("/field", ctx).error();
    EXPECT_EQ(field.code, Errc::invalid);
    EXPECT_EQ(field.message, "too many");
    EXPECT_EQ(field.field, "limits.pids");
    EXPECT_FALSE(connection_lost(field) || no_daemon(field));
    EXPECT_EQ(app.client.get("/new", ctx).error().code, Errc::internal);
    EXPECT_EQ(app.client.get("/new", ctx).error().message, "a newer server's");
    EXPECT_EQ(app.client.get("/other", ctx).error().code, Errc::internal);
    EXPECT_EQ(
        app.client.receive("/field", [](auto) { return ok(); }, ctx).error().message, "too many");
  });
}

TEST(Client, an_answer_that_is_not_ours_is_our_peers_fault_not_the_users) {
  FakeTared fake({{.method = Method::get, .path = "/x", .handler = [](Exchange& ex) {
                     return ex.reply({.status = 200, .headers = {}, .body = "{\"a\":1,\"a\":2}"});
                   }}});
  fake.run([](App& app, const fiber::Context& ctx) {
    EXPECT_EQ(app.client.get("/x", ctx).error().code, Errc::internal);
  });
}

TEST(Client, with_no_daemon_the_message_names_the_socket_and_the_fix) {
  auto done = fiber::run_fiber([](const fiber::Context& ctx) -> Result<> {
    auto client = TRY(Client::create({.home = "/nonexistent/home", .url = "", .api_key = ""}));
    const auto error = client.get("/v1/health", ctx).error();
    EXPECT_EQ(error.code, Errc::unavailable);
    EXPECT_TRUE(no_daemon(error));
    EXPECT_FALSE(connection_lost(error));
    EXPECT_THAT(error.message, testing::HasSubstr("/nonexistent/home/run/tared.sock"));
    EXPECT_THAT(error.message, testing::HasSubstr("tare up"));
    return ok();
  });
  EXPECT_TRUE(done.ok());
}

TEST(Client, a_connection_that_breaks_is_told_from_a_refusal) {
  FakeTared fake({{.method = Method::get, .path = "/half", .handler = [](Exchange& ex) -> Result<> {
                     TRY(ex.start(200, {}, 100));
                     TRY(ex.write("half"));
                     return Error{Errc::internal, "the test breaks off"};
                   }}});
  fake.run([](App& app, const fiber::Context& ctx) {
    EXPECT_TRUE(connection_lost(app.client.get("/half", ctx).error()));
    std::string got;
    const auto received = app.client.receive(
        "/half",
        [&](std::string_view piece) {
          got += piece;
          return ok();
        },
        ctx);
    EXPECT_TRUE(connection_lost(received.error()));
    EXPECT_EQ(got, "half");
  });
}

TEST(Client, an_error_of_the_sink_comes_back_as_it_is) {
  FakeTared fake({{.method = Method::get, .path = "/x", .handler = [](Exchange& ex) {
                     return ex.reply({.status = 200, .headers = {}, .body = "body"});
                   }}});
  fake.run([](App& app, const fiber::Context& ctx) {
    const auto received = app.client.receive(
        "/x", [](auto) { return Result<>(Error{Errc::conflict, "mine", 7}); }, ctx);
    EXPECT_EQ(received.error().code, Errc::conflict);
    EXPECT_EQ(received.error().sys, 7);
  });
}

TEST(Client, a_body_of_unknown_length_arrives_whole) {
  std::string body;
  FakeTared fake({{.method = Method::post,
                   .path = "/v1/blobs",
                   .handler = [&](Exchange& ex) -> Result<> {
                     body = TRY(ex.read_all());
                     return reply_json(ex, 201, JsonObject{{"size", body.size()}});
                   },
                   .max_body_bytes = 1 << 20}});
  const std::string sent(300'000, 'x');
  fake.run([&](App& app, const fiber::Context& ctx) {
    std::string_view rest = sent;
    const auto source = [&](std::span<char> buffer, const fiber::Context&) -> Result<std::size_t> {
      const std::string_view piece = rest.substr(0, std::min<std::size_t>(buffer.size(), 7777));
      std::copy(piece.begin(), piece.end(), buffer.begin());
      rest.remove_prefix(piece.size());
      return piece.size();
    };
    EXPECT_EQ(app.client.send("/v1/blobs", source, ctx)->status, 201);
  });
  EXPECT_EQ(body, sent);
}

TEST(Client, over_tcp_the_api_key_is_sent_and_the_host_named) {
  auto done = fiber::run_fiber([](const fiber::Context& ctx) -> Result<> {
    auto listener = TRY(fiber::TcpListener::bind("127.0.0.1", 0, 8));
    std::string authorization, host;
    const http::Server server(
        {{.method = Method::get,
          .path = "/v1/health",
          .handler =
              [&](Exchange& ex) {
                authorization = ex.request().headers.get("Authorization").value_or("");
                host = ex.request().host;
                return reply_json(ex, 200, nullptr);
              }}},
        {.drain_timeout = std::chrono::milliseconds(10)});
    fiber::TaskGroup serving(ctx);
    serving.spawn(
        [&](const fiber::Context& task) { static_cast<void>(server.serve(listener, task)); });
    const auto url = fmt::format("http://127.0.0.1:{}", listener.port());
    auto client = TRY(Client::create({.home = "/x", .url = url, .api_key = "secret"}));
    TRY(client.get("/v1/health", ctx));
    EXPECT_EQ(authorization, "Bearer secret");
    EXPECT_EQ("http://" + host, url);
    return ok();
  });
  EXPECT_TRUE(done.ok()) << done.error().message;
}

TEST(Client, urls_are_plain_http_to_an_address_with_a_port) {
  EXPECT_EQ(parse_url("http://127.0.0.1:7419")->port, 7419);
  EXPECT_EQ(parse_url("http://localhost:1/")->host, "localhost");
  EXPECT_EQ(parse_url("http://[::1]:80")->host, "::1");
  for (const char* url :
       {"", "127.0.0.1:1", "https://127.0.0.1:1", "http://127.0.0.1", "http://:1",
        "http://127.0.0.1:0", "http://127.0.0.1:99999", "http://127.0.0.1:1/x",
        "http://example.org:1", "http://user@127.0.0.1:1", "http://127.0.0.1:1\r\nX: y"}) {
    EXPECT_EQ(parse_url(url).error().code, Errc::invalid) << url;
  }
}

TEST(Client, a_url_needs_a_key_that_fits_in_a_header) {
  for (const char* key : {"", "a b", "a\r\nX: y"}) {
    EXPECT_EQ(
        Client::create({.home = "/", .url = "http://127.0.0.1:1", .api_key = key}).error().code,
        Errc::invalid);
  }
}

}  // namespace
}  // namespace tare::cli
