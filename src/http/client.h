// Client: HTTP/1.1 requests over a unix socket or TCP, bodies streamed in both directions at once.
// Keeps a few connections alive. No TLS, no redirects, no cookies, no names to resolve.
//
//   auto client = Client::over_unix("/var/lib/tare/run/tared.sock");
//   auto response = TRY(client.send({.method = Method::post, .target = "/v1/runs", .body = json},
//   ctx)); auto text = TRY(response.read_all(1 << 20, ctx));
//
// Owner: a fiber's caller; must outlive its responses. Loop thread only. Errors: Errc::unavailable
// when nobody listens or the server breaks off; Errc::timeout, Errc::cancelled from the Context;
// Errc::invalid for a response that is not strict HTTP; a status of 4xx or 5xx is not an error
// here. What never happens: a request that may have been acted on is sent twice (only GET and HEAD
// are repeated, once, on a kept connection that turns out dead).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "http/message.h"

namespace tare::http {

class ClientConnection;  // client_connection.h, private to src/http

// Fills the buffer with the next bytes of a request's body and returns how many; 0 ends it. Runs on
// a fiber of its own; an error breaks the request off and is what send() or the response's next
// read returns. It must end when ctx ends: it is cancelled when the response is complete before the
// upload.
using BodySource = std::function<Result<std::size_t>(std::span<char> buffer,
                                                     const fiber::Context& ctx)>;

struct ClientRequest {
  Method method = Method::get;
  std::string target = "/";
  Headers headers = {};
  std::string body = {};
  BodySource source = nullptr;                                // instead of `body`: streamed
  std::optional<std::uint64_t> source_length = std::nullopt;  // chunked when not set
};

class ClientResponse;

class Client {
 public:
  static Client over_unix(std::string path);
  static Client over_tcp(std::string address, std::uint16_t port);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Sends the request and waits for the head of the response. ctx also bounds the sending of a
  // streamed body, as long as the response lives.
  Result<ClientResponse> send(ClientRequest request, const fiber::Context& ctx);

 private:
  friend class ClientResponse;
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class ClientResponse {
 public:
  ClientResponse(ClientResponse&&) noexcept;
  ClientResponse& operator=(ClientResponse&&) noexcept;
  // Read to its end, the connection is kept; otherwise it is closed.
  ~ClientResponse();

  int status() const;
  const Headers& headers() const;
  // The next bytes of the body, valid until the next call; empty at the end. A body that breaks off
  // is an error.
  Result<std::string_view> read(const fiber::Context& ctx);
  // All of it; Errc::exhausted beyond the limit.
  Result<std::string> read_all(std::size_t max_bytes, const fiber::Context& ctx);
  // Waits until the request's body has been sent as well (it may be longer in the making than the
  // response).
  Result<> wait_uploaded(const fiber::Context& ctx);

 private:
  friend class Client;
  ClientResponse(std::unique_ptr<ClientConnection> connection, Client::State* owner);
  std::unique_ptr<ClientConnection> connection_;
  Client::State* owner_;  // where the connection goes back to
};

}  // namespace tare::http
