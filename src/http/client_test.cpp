#include "http/client.h"

#include <unistd.h>

#include "http/test_server.h"

namespace tare::http {
namespace {

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
    auto echoed = TRY(
        client.send({.method = Method::post, .target = "/echo", .body = "some body"}, ctx));
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
      request.source = [sent = std::uint64_t{0}](std::span<char> buffer,
                                                 const Context&) mutable -> Result<std::size_t> {
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
    request.source = [&, sent = 0](std::span<char> buffer,
                                   const Context& task) mutable -> Result<std::size_t> {
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
    request.source = [](std::span<char> buffer, const Context&) -> Result<std::size_t> {
      return buffer.size();
    };
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
      request.source = [&, calls = 0](std::span<char> buffer,
                                      const Context&) mutable -> Result<std::size_t> {
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
        (void)peer->write_all(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"
            "Content-Length: 6\r\n\r\npoison",
            task);
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
