// Client: the native REST API as calls (docs/api/openapi.yaml), over the unix socket of a home or
// over TCP with an API key. Answers are JSON; a refusal of the server comes back as the Error it
// sent (code, message, field).
//
// Errors of our own: Errc::unavailable when no daemon is there (no_daemon() tells; the message
// names the socket and `tare up`) or the connection broke; Errc::denied when the socket may not be
// opened; Errc::internal when the peer does not speak this API. A call that failed because the
// connection broke may have been carried out: repeat only what is idempotent. Owner: one command.
// Loop thread only; calls may run at the same time in several fibers.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "cli/args.h"
#include "fiber/context.h"
#include "http/client.h"

namespace tare::cli {

struct Answer {
  int status = 0;
  Json body;  // null when there is none (204)
};

// Takes the next piece of a body.
using BodySink = std::function<Result<>(std::string_view)>;

class Client {
 public:
  // Connects to nothing yet. Errors: Errc::invalid for a URL or key that cannot be used.
  static Result<Client> create(const Target& target);

  Result<Answer> get(std::string path, const fiber::Context& ctx);
  Result<Answer> post(std::string path, const Json& body, const fiber::Context& ctx);
  Result<Answer> post_empty(std::string path, const fiber::Context& ctx);
  // The same, for what may take as long as it takes.
  Result<Answer> post_and_wait(std::string path, const fiber::Context& ctx);
  Result<Answer> post_and_wait(std::string path, const Json& body, const fiber::Context& ctx);
  Result<Answer> remove(std::string path, const fiber::Context& ctx);
  Result<bool> exists(std::string path, const fiber::Context& ctx);  // HEAD: 200 or 404
  // POSTs a body of any length. The server may answer before it has ended.
  Result<Answer> send(std::string path, http::BodySource source, const fiber::Context& ctx);
  Result<Answer> put_json(std::string path, const Json& body, const fiber::Context& ctx);
  Result<Answer> put(std::string path, http::BodySource source, const fiber::Context& ctx);
  // GETs (or POSTs without a body, for) a body of any length. A pause of kStall without a byte
  // counts as a broken connection. What the sink returns as an error ends it and is returned as it
  // is.
  Result<> receive(std::string path, const BodySink& sink, const fiber::Context& ctx,
                   http::Method method = http::Method::get);

  // For messages: the socket's path, or the URL.
  const std::string& place() const { return place_; }

 private:
  Client(http::Client http, std::string place) : http_(std::move(http)), place_(std::move(place)) {}
  Result<Answer> exchange(http::ClientRequest request, const fiber::Context& ctx);
  Result<http::ClientResponse> begin(http::ClientRequest request, const fiber::Context& ctx);
  Error explain(Error error) const;

  http::Client http_;
  std::string place_;
  std::string api_key_;
};

// The error says that nobody listens (not that a connection broke).
bool no_daemon(const Error& error);

// The connection broke in the midst of a call, which may have been carried out.
bool connection_lost(const Error& error);

// An address for --url: "http://127.0.0.1:7419".
struct UrlAddress {
  std::string host;  // numeric or "localhost", without brackets
  std::uint16_t port = 0;
};
Result<UrlAddress> parse_url(std::string_view url);

}  // namespace tare::cli
