#include "http/server.h"

#include "base/text.h"
#include "fiber/task_group.h"
#include "http/connection.h"

namespace tare::http {
namespace {

// Connections beyond the limit that are told so; further ones are just closed.
constexpr std::size_t kMaxRefusals = 64;
constexpr std::chrono::milliseconds kRefusalTimeout{1'000};
constexpr std::size_t kMaxErrorTextBytes = 4096;

}  // namespace

Response plain_error_response(const Error& error, std::optional<int> status) {
  Response response;
  response.status = status.value_or(500);
  response.headers.add("Content-Type", "application/json");
  response.body = R"({"error":{"code":)";
  append_json_string(response.body, to_string(error.code), kMaxErrorTextBytes);
  response.body += R"(,"message":)";
  append_json_string(response.body, error.message, kMaxErrorTextBytes);
  response.body += "}}\n";
  return response;
}

Server::Server(std::vector<Route> routes, ServerOptions options)
    : routes_(std::move(routes)), options_(std::move(options)) {
  CHECK(options_.on_error != nullptr);
}

void Server::serve_connection(fiber::Socket socket, const fiber::Context& stop,
                              const fiber::Context& work) const {
  Connection(*this, std::move(socket), stop, work).run();
}

Result<> Server::serve(fiber::Listener& listener, const fiber::Context& ctx) const {
  fiber::CancelScope stop(ctx);
  // Running requests outlive ctx by drain_timeout, so the group is not below it.
  fiber::TaskGroup connections(fiber::Context::background());
  fiber::TaskGroup refusals(ctx);
  Result<> failure;
  for (;;) {
    auto socket = listener.accept(ctx);
    if (!socket) {
      if (ctx.check()) failure = std::move(socket).error();
      break;
    }
    if (connections.size() < options_.max_connections) {
      connections.spawn([this, peer = std::move(*socket),
                         until = stop.context()](const fiber::Context& work) mutable {
        serve_connection(std::move(peer), until, work);
      });
    } else if (refusals.size() < kMaxRefusals) {
      refusals.spawn([this, peer = std::move(*socket)](const fiber::Context& task) mutable {
        Connection(*this, std::move(peer), task, task.with_timeout(kRefusalTimeout)).refuse_busy();
      });
    }
  }
  stop.cancel();
  // Not an error: what has not ended by then is cancelled when the group dies.
  (void)connections.join(fiber::Context::background().with_timeout(options_.drain_timeout));
  return failure;
}

}  // namespace tare::http
