#include "fiber/socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fiber/task_group.h"
#include "fiber/test_support.h"
#include "fiber/timer.h"

namespace tare::fiber {
namespace {

using namespace std::chrono_literals;

Result<std::string> read_to_end(Stream& stream, const Context& ctx) {
  std::string all;
  std::array<char, 1000> buffer;
  for (;;) {
    const auto count = TRY(stream.read_some(buffer, ctx));
    if (count == 0) return all;
    all.append(buffer.data(), count);
  }
}

TEST(Socket, bytes_arrive_in_order_through_many_partial_writes) {
  in_fiber([](const Context& ctx) -> Result<> {
    Pair pair;
    auto a = TRY(Socket::adopt(std::move(pair.a)));
    auto b = TRY(Socket::adopt(std::move(pair.b)));
    std::string sent;
    for (int i = 0; i < 400'000; ++i) sent += std::to_string(i);
    TaskGroup group(ctx);
    group.spawn([&](const Context& task) {
      const std::string_view all = sent;
      std::vector<std::string_view> parts{"", all.substr(0, 10), "", all.substr(10, 1'000'000)};
      for (std::size_t at = 1'000'010; at < all.size(); at += 77'777) {
        parts.push_back(all.substr(at, 77'777));
      }
      parts.emplace_back();
      EXPECT_TRUE(a.write_parts(parts, task).ok());
      EXPECT_TRUE(a.shutdown_write().ok());
    });
    EXPECT_TRUE(TRY(read_to_end(b, ctx)) == sent);
    return {};
  });
}

TEST(Socket, a_read_can_be_cancelled_and_the_next_one_still_works) {
  in_fiber([](const Context& ctx) -> Result<> {
    Pair pair;
    auto a = TRY(Socket::adopt(std::move(pair.a)));
    auto b = TRY(Socket::adopt(std::move(pair.b)));
    std::array<char, 16> buffer;
    EXPECT_EQ(a.read_some(buffer, ctx.with_timeout(1ms)).error().code, Errc::timeout);
    CancelScope scope(ctx);
    TaskGroup group(ctx);
    group.spawn([&](const Context&) { scope.cancel(); });
    EXPECT_EQ(a.read_some(buffer, scope.context()).error().code, Errc::cancelled);
    TRY(b.write_all("still here", ctx));
    EXPECT_EQ(TRY(a.read_some(buffer, ctx)), 10U);
    return {};
  });
}

TEST(Socket, closing_wakes_its_reader_and_later_calls_are_refused) {
  in_fiber([](const Context& ctx) -> Result<> {
    Pair pair;
    auto a = TRY(Socket::adopt(std::move(pair.a)));
    TaskGroup group(ctx);
    Result<std::size_t> seen = std::size_t{0};
    std::array<char, 16> buffer;
    group.spawn([&](const Context& task) { seen = a.read_some(buffer, task); });
    yield();
    a.close();
    group.join();
    EXPECT_EQ(seen.error().code, Errc::cancelled);
    EXPECT_EQ(a.read_some(buffer, ctx).error().code, Errc::unavailable);
    EXPECT_EQ(code_of(a.write_all("x", ctx)), Errc::unavailable);
    a.close();
    return {};
  });
}

TEST(Socket, writing_to_a_peer_that_has_gone_is_an_error_and_no_signal) {
  in_fiber([](const Context& ctx) -> Result<> {
    Pair pair;
    auto a = TRY(Socket::adopt(std::move(pair.a)));
    pair.b.reset();
    EXPECT_EQ(code_of(a.write_all("x", ctx)), Errc::unavailable);
    return {};
  });
}

TEST(Socket, hang_up_tells_half_closed_from_gone) {
  in_fiber([](const Context& ctx) -> Result<> {
    Pair pair;
    auto a = TRY(Socket::adopt(std::move(pair.a)));
    std::vector<Socket::Hangup> calls;
    a.on_hangup([&](Socket::Hangup seen) { calls.push_back(seen); });
    EXPECT_EQ(a.hangup(), Socket::Hangup::none);
    EXPECT_EQ(::shutdown(pair.b.get(), SHUT_WR), 0);
    TRY(a.wait_hangup(Socket::Hangup::sending, ctx));
    EXPECT_EQ(code_of(a.wait_hangup(Socket::Hangup::gone, ctx.with_timeout(1ms))), Errc::timeout);
    pair.b.reset();
    TRY(a.wait_hangup(Socket::Hangup::gone, ctx));
    EXPECT_EQ(calls, (std::vector{Socket::Hangup::sending, Socket::Hangup::gone}));
    return {};
  });
}

TEST(UnixListener, the_socket_has_its_mode_and_the_peer_is_known) {
  in_fiber([](const Context& ctx) -> Result<> {
    TempDir dir;
    const std::string path = dir.path + "/s";
    auto listener = TRY(UnixListener::bind(path, {.mode = 0640}));
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0640U);
    TaskGroup group(ctx);
    group.spawn([&](const Context& task) {
      auto client = connect_unix(path, task);
      ASSERT_TRUE(client.ok()) << client.error().message;
      ASSERT_TRUE(client->write_all("hi", task).ok());
    });
    auto server = TRY(listener.accept(ctx));
    const auto& peer = std::get<UnixPeer>(server.peer());
    EXPECT_EQ(peer.uid, ::getuid());
    EXPECT_EQ(peer.gid, ::getgid());
    EXPECT_EQ(peer.pid, ::getpid());
    EXPECT_EQ(TRY(read_to_end(server, ctx)), "hi");
    return {};
  });
}

TEST(UnixListener, a_stale_socket_is_replaced_a_live_one_and_a_file_are_not) {
  in_fiber([](const Context& ctx) -> Result<> {
    TempDir dir;
    const std::string path = dir.path + "/s";
    {
      sys::UniqueFd stale(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      path.copy(address.sun_path, sizeof address.sun_path - 1);
      EXPECT_EQ(::bind(stale.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    EXPECT_EQ(connect_unix(path, ctx).error().code, Errc::unavailable);
    {
      auto first = TRY(UnixListener::bind(path, {}));
      EXPECT_EQ(UnixListener::bind(path, {}).error().code, Errc::conflict);
    }
    EXPECT_FALSE(std::filesystem::exists(path)) << "the listener removes its path";
    EXPECT_EQ(connect_unix(path, ctx).error().code, Errc::not_found);
    sys::UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EXPECT_EQ(UnixListener::bind(path, {}).error().code, Errc::conflict);
    EXPECT_TRUE(std::filesystem::is_regular_file(path));
    return {};
  });
}

TEST(UnixListener, the_path_of_a_successor_is_left_alone) {
  in_fiber([](const Context&) -> Result<> {
    TempDir dir;
    const std::string path = dir.path + "/s";
    {
      auto first = TRY(UnixListener::bind(path, {}));
      EXPECT_EQ(::unlink(path.c_str()), 0);
      sys::UniqueFd other(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    EXPECT_TRUE(std::filesystem::exists(path));
    return {};
  });
}

TEST(UnixListener, paths_that_do_not_fit_are_refused) {
  in_fiber([](const Context& ctx) -> Result<> {
    EXPECT_EQ(UnixListener::bind("", {}).error().code, Errc::invalid);
    EXPECT_EQ(UnixListener::bind("/tmp/" + std::string(200, 'x'), {}).error().code, Errc::invalid);
    EXPECT_EQ(connect_unix(std::string("/tmp/a\0b", 8), ctx).error().code, Errc::invalid);
    return {};
  });
}

TEST(TcpListener, connects_and_knows_its_port_and_peer) {
  in_fiber([](const Context& ctx) -> Result<> {
    for (const char* address : {"127.0.0.1", "localhost"}) {
      auto listener = TRY(TcpListener::bind(address, 0, 16));
      EXPECT_NE(listener.port(), 0);
      EXPECT_EQ(TcpListener::bind(address, listener.port(), 16).error().code, Errc::conflict);
      TaskGroup group(ctx);
      group.spawn([&](const Context& task) {
        auto client = connect_tcp(address, listener.port(), task);
        ASSERT_TRUE(client.ok()) << client.error().message;
        ASSERT_TRUE(client->write_all("hi", task).ok());
      });
      auto server = TRY(listener.accept(ctx));
      EXPECT_EQ(std::get<TcpPeer>(server.peer()).address, "127.0.0.1");
      EXPECT_EQ(TRY(read_to_end(server, ctx)), "hi");
    }
    return {};
  });
}

TEST(TcpListener, connecting_where_nobody_listens_is_unavailable) {
  in_fiber([](const Context& ctx) -> Result<> {
    std::uint16_t port = 0;
    {
      auto listener = TRY(TcpListener::bind("127.0.0.1", 0, 1));
      port = listener.port();
    }
    EXPECT_EQ(connect_tcp("127.0.0.1", port, ctx).error().code, Errc::unavailable);
    EXPECT_EQ(connect_tcp("example.com", port, ctx).error().code, Errc::invalid);
    return {};
  });
}

TEST(Socket, a_fast_sender_does_not_starve_other_fibers) {
  in_fiber([](const Context& ctx) -> Result<> {
    Pair pair;
    auto a = TRY(Socket::adopt(std::move(pair.a)));
    auto b = TRY(Socket::adopt(std::move(pair.b)));
    bool ended = false;
    TaskGroup group(ctx);
    // Each side always finds bytes or room; without turns the timer below would never fire.
    group.spawn([&](const Context& task) {
      std::array<char, 64> buffer{};
      while (!ended) {
        if (!a.write_all(std::string_view(buffer.data(), buffer.size()), task).ok()) return;
        if (!b.read_some(buffer, task).ok()) return;
      }
    });
    TRY(sleep_for(2ms, ctx));
    ended = true;
    group.join();
    return {};
  });
}

TEST(Socket, hundreds_of_connections_are_served_at_once) {
  in_fiber([](const Context& ctx) -> Result<> {
    constexpr int kConnections = kManyFibers / 25;
    TempDir dir;
    const std::string path = dir.path + "/s";
    auto listener = TRY(UnixListener::bind(path, {}));
    int echoed = 0;
    TaskGroup group(ctx);
    group.spawn([&](const Context& task) {
      TaskGroup servers(task);
      for (int i = 0; i < kConnections; ++i) {
        auto socket = listener.accept(task);
        ASSERT_TRUE(socket.ok());
        servers.spawn([peer = std::move(socket).value()](const Context& inner) mutable {
          std::array<char, 64> buffer;
          for (;;) {
            auto count = peer.read_some(buffer, inner);
            if (!count.ok() || *count == 0) return;
            if (!peer.write_all({buffer.data(), *count}, inner).ok()) return;
          }
        });
      }
      servers.join();
    });
    for (int i = 0; i < kConnections; ++i) {
      group.spawn([&](const Context& task) {
        auto client = connect_unix(path, task);
        ASSERT_TRUE(client.ok());
        std::array<char, 64> buffer;
        for (int round = 0; round < 5; ++round) {
          ASSERT_TRUE(client->write_all("ping", task).ok());
          ASSERT_EQ(client->read_some(buffer, task).value_or(0), 4U);
          yield();
        }
        ++echoed;
      });
    }
    group.join();
    EXPECT_EQ(echoed, kConnections);
    return {};
  });
}

}  // namespace
}  // namespace tare::fiber
