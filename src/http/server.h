// Server: accepts connections, reads requests strictly, finds the route, runs its handler on the
// connection's fiber, keeps connections alive. HTTP/1.1 and 1.0 over any Listener.
//
//   Server server(routes, {.on_error = api::error_response});
//   group.spawn([&](auto& ctx) { server.serve(unix_listener, ctx); });      // one call for each
//   listener
//
// Owner: main; must outlive serve(). Loop thread only. Bounds: connections (503 beyond), head size
// and time, idle time, body size (413), stalls of the client in either direction. A request that is
// not understood is answered and the connection closed: nothing is read behind it. Pipelined
// requests are answered in order. What never happens: a handler's failure reaches another
// connection; an answer to a request that was not read.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "fiber/context.h"
#include "fiber/socket.h"
#include "http/codec.h"
#include "http/exchange.h"
#include "http/route.h"

namespace tare::http {

// Makes the response for an error. `status` is set where HTTP itself says what it is (a request
// that could not be read, 404 and 405 of the route table, 408, 413, 503); otherwise the hook
// derives it from the error's code.
using ErrorHook = std::function<Response(const Error& error, std::optional<int> status)>;

// {"error":{"code":"...","message":"..."}}, 500 where no status is given. For tests and as a
// fallback.
Response plain_error_response(const Error& error, std::optional<int> status);

// What is told about each request when it has ended; for the access log. Valid during the call
// only.
struct RequestRecord {
  const RequestHead& request;
  const fiber::Peer& peer;
  int status;                // 0: nothing was answered
  std::uint64_t bytes_read;  // bodies only
  std::uint64_t bytes_written;
  std::chrono::microseconds duration;
  const Error* error;  // what the handler returned, or why the answer broke off; may be null
};

struct ServerOptions {
  ErrorHook on_error = plain_error_response;
  // Looked at before the route table: who may speak at all (API key, Host, Origin). May be empty:
  // everybody.
  std::function<Result<>(Exchange&)> admit = nullptr;
  std::function<void(const RequestRecord&)> on_done = nullptr;

  std::size_t max_connections = kMaxConnections;  // for each serve()
  HeadLimits head = {};
  std::chrono::milliseconds head_timeout{10'000};  // from the first byte of a head to its last
  std::chrono::milliseconds idle_timeout{kHttpIdleTimeoutMs};
  // On shutdown: how long requests that are being served may take before they are cancelled.
  std::chrono::milliseconds drain_timeout{5'000};
};

class Server {
 public:
  Server(std::vector<Route> routes, ServerOptions options);

  // Serves until ctx ends, then lets running requests finish (drain_timeout), cancels the rest, and
  // returns when every connection has ended. An error only when the listener fails.
  Result<> serve(fiber::Listener& listener, const fiber::Context& ctx) const;
  // One connection, for streams that come from elsewhere. `stop` ends it between requests, `work`
  // at once.
  void serve_connection(fiber::Socket socket, const fiber::Context& stop,
                        const fiber::Context& work) const;

  const RouteTable& routes() const { return routes_; }
  const ServerOptions& options() const { return options_; }

 private:
  RouteTable routes_;
  ServerOptions options_;
};

}  // namespace tare::http
