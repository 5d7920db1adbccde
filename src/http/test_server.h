// A server with routes that behave well and badly, on a unix socket, and a raw client; for the
// tests of src/http.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "fiber/event.h"
#include "fiber/loop.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"
#include "http/client.h"
#include "http/server.h"

namespace tare::http {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
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

// See test_routes_test.cpp.
std::vector<Route> routes(Seen& seen);

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

inline std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
inline std::string post(std::string_view path, std::string_view body,
                        std::string_view fields = "") {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(fields) + "\r\n" + std::string(body);
}
inline std::size_t count_of(std::string_view needle, std::string_view text) {
  std::size_t count = 0;
  for (auto at = text.find(needle); at != text.npos; at = text.find(needle, at + 1)) ++count;
  return count;
}

}  // namespace tare::http
