#include "http/connection.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace tare::http {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMaxDiscardedBytes = 64 << 10;
constexpr std::chrono::milliseconds kDiscardTimeout = 2s;
constexpr std::chrono::milliseconds kErrorWriteTimeout = 5s;
constexpr std::uint64_t kMaxLingerBytes = 1 << 20;
// A body may come slowly, but not for ever: beyond Route::body_timeout of waiting it must average
// this.
constexpr std::uint64_t kMinBodyBytesPerSecond = 1 << 10;

Error http_error(Errc code, std::string message) { return Error{code, std::move(message)}; }

}  // namespace

Connection::Connection(const Server& server, fiber::Socket socket, const fiber::Context& stop,
                       const fiber::Context& work)
    : server_(server),
      options_(server.options()),
      socket_(std::move(socket)),
      stop_(stop),
      work_(work),
      input_(options_.head.head_bytes + 1),
      decoder_(Decoder::Side::server, options_.head) {}

void Connection::run() {
  while (read_head() == Ready::request) {
    if (!serve_request()) return linger();
  }
}

Connection::Ready Connection::read_head() {
  using fiber::Clock;
  auto deadline = Clock::now() + options_.head_timeout;
  for (;;) {
    auto step = decoder_.next(input_.view());
    if (!step) {
      refuse(step.error(), decoder_.status());
      return Ready::closed;
    }
    input_.consume(step->consumed);
    if (step->event == Decoder::Event::head) return Ready::request;
    const bool idle = input_.empty();
    if (idle) input_.shrink(options_.head.head_bytes + 1);
    auto received = input_.fill(
        socket_, idle ? stop_.with_timeout(options_.idle_timeout) : stop_.with_deadline(deadline));
    if (idle) deadline = Clock::now() + options_.head_timeout;
    if (received && *received != 0) continue;
    if (!received && received.error().code == Errc::timeout && !idle) {
      refuse(http_error(Errc::invalid, "the request did not arrive in time"), 408);
    }
    return Ready::closed;
  }
}

bool Connection::serve_request() {
  const auto begin = fiber::Clock::now();
  fiber::CancelScope scope(work_);
  Exchange exchange(*this, scope.context());
  body_done_ = false;
  body_waited_ = {};

  Result<> result = find_route(exchange);
  if (result) {
    socket_.on_hangup([&](fiber::Socket::Hangup seen) {
      const bool waits = exchange.route_ != nullptr && exchange.route_->ends_with_peer;
      if (waits || seen == fiber::Socket::Hangup::gone) scope.cancel();
    });
    result = dispatch(exchange);
    socket_.on_hangup({});
  }
  bool intact = result.ok();
  if (!result && !exchange.started_) intact = answer_error(exchange, result.error()).ok();
  if (options_.on_done) {
    options_.on_done(
        {decoder_.request(), socket_.peer(), exchange.status_, exchange.received_,
         exchange.written_,
         std::chrono::duration_cast<std::chrono::microseconds>(fiber::Clock::now() - begin),
         result ? nullptr : &result.error()});
  }
  if (!intact) {
    // The body did not end as its framing says: nothing may follow, and nothing may look like its
    // end.
    socket_.close();
    return false;
  }
  return exchange.keep_alive_ && discard_body();
}

Result<> Connection::find_route(Exchange& exchange) {
  const RequestHead& request = decoder_.request();
  auto target = parse_target(request.target);
  if (!target) {
    exchange.forced_status_ = 400;
    return std::move(target).error();
  }
  exchange.target_ = std::move(target).value();
  if (options_.admit) TRY(options_.admit(exchange));
  if (exchange.started_) return {};
  auto match = server_.routes().find(request.method, exchange.target_.segments);
  if (match.route != nullptr) {
    exchange.route_ = match.route;
    exchange.parameters_ = std::move(match.parameters);
    return {};
  }
  if (match.allow.empty()) {
    exchange.forced_status_ = 404;
    return http_error(Errc::not_found, "there is nothing at this path");
  }
  exchange.forced_status_ = 405;
  exchange.allow_ = std::move(match.allow);
  return http_error(Errc::invalid, fmt::format("{} is not allowed here; allowed: {}",
                                               to_string(request.method), exchange.allow_));
}

Result<> Connection::dispatch(Exchange& exchange) {
  if (exchange.started_) return exchange.finish();  // admit has answered
  const Framing& framing = decoder_.request().framing;
  const auto limit = exchange.route_->max_body_bytes;
  const bool takes_none = limit == 0 && framing.kind == Framing::Kind::chunked;
  if (takes_none || (framing.kind == Framing::Kind::length && framing.length > limit)) {
    exchange.forced_status_ = 413;
    return exchange.too_large();
  }
  TRY(exchange.route_->handler(exchange));
  if (!exchange.started_) {
    return http_error(Errc::internal,
                      "the handler of " + exchange.route_->path + " gave no answer");
  }
  return exchange.finish();
}

Result<> Connection::answer_error(Exchange& exchange, const Error& error) {
  Response response = options_.on_error(error, exchange.forced_status_);
  if (!exchange.allow_.empty()) response.headers.set("Allow", exchange.allow_);
  // Not the exchange's context: the answer is due although it may have been cancelled.
  const auto ctx = fiber::Context::background().with_timeout(kErrorWriteTimeout);
  return exchange.send_whole(response, ctx);
}

void Connection::refuse(const Error& error, int status) {
  const Response response = options_.on_error(error, status);
  const auto ctx = fiber::Context::background().with_timeout(kErrorWriteTimeout);
  auto head = encode_response_head(response.status, response.headers,
                                   {Framing::Kind::length, response.body.size()}, false);
  if (!head) return;
  const std::array<std::string_view, 2> parts{*head, response.body};
  if (socket_.write_parts(parts, ctx)) linger();
}

void Connection::refuse_busy() {
  refuse(http_error(Errc::unavailable, "too many connections; try again later"), 503);
}

Result<std::size_t> Connection::fill_body(Exchange& exchange) {
  using std::chrono::milliseconds;
  const milliseconds timeout = exchange.route_ != nullptr ? exchange.route_->body_timeout
                                                          : kDiscardTimeout;
  if (decoder_.request().framing.length > input_.view().size()) input_.grow(kBodyBufferBytes);
  if (decoder_.request().framing.kind == Framing::Kind::chunked &&
      exchange.received_ > kMaxDiscardedBytes) {
    input_.grow(kBodyBufferBytes);
  }
  if (timeout == 0ms) return input_.fill(socket_, exchange.context());
  const auto earned = milliseconds(1000 * exchange.received_ / kMinBodyBytesPerSecond);
  const fiber::Duration left = timeout + earned - body_waited_;
  const auto begin = fiber::Clock::now();
  auto received = input_.fill(
      socket_, exchange.context().with_deadline(begin + std::min<fiber::Duration>(timeout, left)));
  body_waited_ += fiber::Clock::now() - begin;
  if (!received && received.error().code == Errc::timeout) {
    exchange.forced_status_ = 408;
    return http_error(Errc::timeout, "the request's body did not arrive in time");
  }
  return received;
}

Result<std::string_view> Connection::read_body(Exchange& exchange) {
  for (;;) {
    if (body_done_) return std::string_view{};
    auto step = decoder_.next(input_.view());
    if (!step) {
      exchange.forced_status_ = decoder_.status();
      exchange.keep_alive_ = false;
      return std::move(step).error();
    }
    input_.consume(step->consumed);
    switch (step->event) {
      case Decoder::Event::body: return step->body;
      case Decoder::Event::end: body_done_ = true; continue;
      case Decoder::Event::head:
      case Decoder::Event::need_more: break;
    }
    if (decoder_.request().expects_continue && !exchange.continue_sent_ && !exchange.started_) {
      exchange.continue_sent_ = true;
      // A client that has begun to send did not wait for it.
      if (input_.empty()) TRY(socket_.write_all(kContinue, exchange.context()));
    }
    const auto received = fill_body(exchange);
    if (received && *received != 0) continue;
    exchange.keep_alive_ = false;
    if (!received) return received.error();
    return http_error(Errc::unavailable, "the client broke off in the midst of the request's body");
  }
}

bool Connection::can_keep_alive() const {
  const RequestHead& request = decoder_.request();
  if (!request.keep_alive || stop_.cancelled()) return false;
  if (!decoder_.in_body()) return true;
  // Whether a client that was not told to continue sends its body anyway cannot be known.
  if (request.expects_continue) return body_done_;
  const bool little = request.framing.kind == Framing::Kind::length &&
                      request.framing.length <= kMaxDiscardedBytes;
  return body_done_ || request.framing == Framing{} || little;
}

bool Connection::discard_body() {
  const auto ctx = work_.with_timeout(kDiscardTimeout);
  std::uint64_t discarded = 0;
  while (!body_done_) {
    auto step = decoder_.next(input_.view());
    if (!step) return false;
    input_.consume(step->consumed);
    discarded += step->body.size();
    if (discarded > kMaxDiscardedBytes) return false;
    body_done_ = step->event == Decoder::Event::end;
    if (step->event != Decoder::Event::need_more) continue;
    const auto received = input_.fill(socket_, ctx);
    if (!received || *received == 0) return false;
  }
  return true;
}

void Connection::linger() {
  if (!socket_.shutdown_write()) return;
  const auto ctx = work_.with_timeout(kDiscardTimeout);
  std::array<char, 4096> scratch;
  for (std::uint64_t total = 0; total < kMaxLingerBytes;) {
    const auto received = socket_.read_some(scratch, ctx);
    if (!received || *received == 0) return;
    total += *received;
  }
}

}  // namespace tare::http
