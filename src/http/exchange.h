// Exchange: one request and its answer, as a handler sees them. Lives while the handler runs, on
// the connection's fiber; the handler may share it with fibers of a TaskGroup of its own (one
// reading, one writing).
//
//   Result<> get_run(Exchange& ex) {
//     const auto run = TRY(store.find(ex.parameter("id"), ex.context()));
//     return ex.reply({.status = 200, .headers = {{"Content-Type", "application/json"}}, .body =
//     to_text(run)});
//   }
//   Result<> follow_logs(Exchange& ex) {
//     TRY(ex.start(200, {{"Content-Type", "application/octet-stream"}}, std::nullopt));
//     while (auto part = TRY(log.next(ex.context()))) TRY(ex.write(*part));
//     return {};                                        // the server writes the end of the body
//   }
//
// Errors: Errc::cancelled when the client is gone or the server shuts down (of context());
// Errc::timeout when the client stalls (Route::body_timeout, write_timeout); Errc::invalid for a
// malformed or too large body. What never happens: a second answer to one request; a body that does
// not match its framing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/socket.h"
#include "http/message.h"
#include "http/route.h"
#include "http/url.h"

namespace tare::http {

class Connection;  // connection.h, private to src/http

class Exchange {
 public:
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const RequestHead& request() const;
  const Target& target() const { return target_; }
  const Query& query() const { return target_.query; }
  // A path parameter, decoded; it must be in the route's template (CHECK).
  const std::string& parameter(std::string_view name) const;
  const fiber::Peer& peer() const;
  // Ends when the client is gone (see Route::ends_with_peer) or the server's time to shut down has
  // passed.
  const fiber::Context& context() const { return context_; }
  // Waits until the client has ended its sending or is gone.
  Result<> wait_peer_closed(const fiber::Context& ctx);

  // ---- the request's body
  // The next bytes, valid until the next call; empty at the end. The first call sends "100
  // Continue" if the client waits for it.
  Result<std::string_view> read();
  // All of it; Route::max_body_bytes is the limit.
  Result<std::string> read_all();

  // Overwrites what the connection still has of the body in its own memory. For bodies with
  // secrets, when they have been read: the kernel's buffers are the kernel's.
  void forget_body();

  // ---- the answer: either reply, or start, write..., finish
  Result<> reply(const Response& response);
  // Sends the head. With a length, exactly that many bytes must be written; without, the body is
  // chunked (or, for HTTP/1.0, ended by closing the connection).
  Result<> start(int status, const Headers& headers, std::optional<std::uint64_t> length);
  // Waits until the kernel has taken all of it: a slow reader slows the handler, nothing piles up.
  Result<> write(std::string_view bytes);
  // Called by the server when the handler has returned ok.
  Result<> finish();

  bool started() const { return started_; }
  int status() const { return status_; }                    // of the answer; 0 before it
  std::uint64_t bytes_written() const { return written_; }  // of the answer's body
  std::uint64_t bytes_read() const { return received_; }    // of the request's body

 private:
  friend class Connection;
  Exchange(Connection& connection, const fiber::Context& context)
      : connection_(connection), context_(context) {}
  Result<> send_head(int status, const Headers& headers, Framing framing, std::string_view body,
                     const fiber::Context& ctx);
  Result<> send_whole(const Response& response, const fiber::Context& ctx);
  fiber::Context write_context() const;
  Error too_large() const;

  Connection& connection_;
  const fiber::Context& context_;
  const Route* route_ = nullptr;
  Target target_;
  PathParameters parameters_;

  std::uint64_t received_ = 0;
  bool continue_sent_ = false;
  std::optional<int> forced_status_;  // of the error response, where HTTP says what it is
  std::string allow_;                 // for 405

  bool started_ = false;
  bool finished_ = false;
  bool keep_alive_ = true;
  int status_ = 0;
  Framing framing_;
  std::uint64_t written_ = 0;
};

}  // namespace tare::http
