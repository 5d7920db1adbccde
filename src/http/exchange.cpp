#include "http/exchange.h"

#include <array>

#include <fmt/format.h>

#include "http/connection.h"

namespace tare::http {
namespace {

bool has_no_body(int status) { return status == 204 || status == 304; }

}  // namespace

const RequestHead& Exchange::request() const { return connection_.decoder_.request(); }

const fiber::Peer& Exchange::peer() const { return connection_.socket_.peer(); }

const std::string& Exchange::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters_) {
    if (key == name) return value;
  }
  CHECK(!"the route's template has this parameter");
  return parameters_.front().second;
}

Result<> Exchange::wait_peer_closed(const fiber::Context& ctx) {
  return connection_.socket_.wait_hangup(fiber::Socket::Hangup::sending, ctx);
}

Error Exchange::too_large() const {
  const auto limit = route_ != nullptr ? route_->max_body_bytes : 0;
  if (limit == 0) return Error{Errc::invalid, "this request takes no body"};
  return Error{Errc::invalid, fmt::format("the request's body is larger than {} bytes", limit)};
}

Result<std::string_view> Exchange::read() {
  const auto bytes = TRY(connection_.read_body(*this));
  received_ += bytes.size();
  if (route_ != nullptr && received_ > route_->max_body_bytes) {
    forced_status_ = 413;
    keep_alive_ = false;
    return too_large();
  }
  return bytes;
}

Result<std::string> Exchange::read_all() {
  std::string body;
  for (;;) {
    const auto bytes = TRY(read());
    if (bytes.empty()) return body;
    body += bytes;
  }
}

void Exchange::forget_body() { connection_.input_.forget_consumed(); }

fiber::Context Exchange::write_context() const {
  const auto timeout = route_ != nullptr ? route_->write_timeout : std::chrono::milliseconds(0);
  return timeout.count() == 0 ? context_ : context_.with_timeout(timeout);
}

Result<> Exchange::send_head(int status, const Headers& headers, Framing framing,
                             std::string_view body, const fiber::Context& ctx) {
  CHECK(!started_ && status >= 200);
  keep_alive_ = keep_alive_ && framing.kind != Framing::Kind::until_close &&
                connection_.can_keep_alive();
  const auto head = TRY(encode_response_head(status, headers, framing, keep_alive_));
  started_ = true;
  status_ = status;
  framing_ = framing;
  const std::array<std::string_view, 2> parts{head, body};
  return connection_.socket_.write_parts(parts, ctx);
}

Result<> Exchange::send_whole(const Response& response, const fiber::Context& ctx) {
  const bool without_body = request().method == Method::head || has_no_body(response.status);
  const std::string_view body = without_body ? std::string_view{} : response.body;
  TRY(send_head(response.status, response.headers, {Framing::Kind::length, response.body.size()},
                body, ctx));
  written_ = body.size();
  finished_ = true;
  return {};
}

Result<> Exchange::reply(const Response& response) { return send_whole(response, write_context()); }

Result<> Exchange::start(int status, const Headers& headers, std::optional<std::uint64_t> length) {
  Framing framing{Framing::Kind::chunked, 0};
  if (request().minor_version == 0) framing.kind = Framing::Kind::until_close;
  if (length) framing = {Framing::Kind::length, *length};
  if (has_no_body(status)) framing = {};
  return send_head(status, headers, framing, {}, write_context());
}

Result<> Exchange::write(std::string_view bytes) {
  CHECK(started_ && !finished_);
  if (bytes.empty()) return {};
  if (framing_.kind == Framing::Kind::length && bytes.size() > framing_.length - written_) {
    return Error{Errc::internal, "more bytes were written than the answer's head announces"};
  }
  written_ += bytes.size();
  if (request().method == Method::head) return {};
  const auto ctx = write_context();
  if (framing_.kind != Framing::Kind::chunked) return connection_.socket_.write_all(bytes, ctx);
  const std::string begin = chunk_begin(bytes.size());
  const std::array<std::string_view, 3> parts{begin, bytes, kChunkEnd};
  return connection_.socket_.write_parts(parts, ctx);
}

Result<> Exchange::finish() {
  CHECK(started_);
  if (finished_) return {};
  finished_ = true;
  if (request().method == Method::head) return {};  // announces what a GET would have sent
  if (framing_.kind == Framing::Kind::length && written_ != framing_.length) {
    return Error{Errc::internal, "fewer bytes were written than the answer's head announces"};
  }
  if (framing_.kind != Framing::Kind::chunked) return {};
  return connection_.socket_.write_all(kLastChunk, write_context());
}

}  // namespace tare::http
