// Connection: one accepted connection, from its first byte to its close; runs on its own fiber.
// Private to src/http. Reads heads, dispatches, decides whether the connection goes on.
#pragma once

#include <chrono>
#include <optional>

#include "fiber/socket.h"
#include "http/codec.h"
#include "http/exchange.h"
#include "http/input_buffer.h"
#include "http/server.h"

namespace tare::http {

class Connection {
 public:
  Connection(const Server& server, fiber::Socket socket, const fiber::Context& stop,
             const fiber::Context& work);
  // Serves until either side ends it.
  void run();
  // Instead of run(): the server has too many connections.
  void refuse_busy();

 private:
  friend class Exchange;
  enum class Ready : std::uint8_t { request, closed };

  Ready read_head();
  // False: the connection has to be closed.
  bool serve_request();
  Result<> dispatch(Exchange& exchange);
  Result<> find_route(Exchange& exchange);
  Result<> answer_error(Exchange& exchange, const Error& error);
  void refuse(const Error& error, int status);

  Result<std::string_view> read_body(Exchange& exchange);
  Result<std::size_t> fill_body(Exchange& exchange);
  // Reads what the handler has left of the body, if it is little. False: too much, or it does not
  // come.
  bool discard_body();
  bool can_keep_alive() const;
  // Lets the client read our last answer although we read no more of what it sends.
  void linger();

  const Server& server_;
  const ServerOptions& options_;
  fiber::Socket socket_;
  const fiber::Context stop_;  // ends: no further request
  const fiber::Context work_;  // ends: at once
  InputBuffer input_;
  Decoder decoder_;
  bool body_done_ = true;
  fiber::Duration body_waited_{};
};

}  // namespace tare::http
