#include "http/codec.h"

#include <algorithm>

#include <fmt/format.h>

#include "http/beast_parser.h"
#include "http/head_syntax.h"

namespace tare::http {

Decoder::Decoder(Side side, HeadLimits limits) : side_(side), limits_(limits) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

const Head& Decoder::head() const {
  return side_ == Side::server ? static_cast<const Head&>(request_) : response_;
}

Error Decoder::refuse(int status, std::string message) {
  state_ = State::failed;
  status_ = status;
  return Error{Errc::invalid, std::move(message)};
}

Result<Decoder::Step> Decoder::next(std::string_view input) {
  switch (state_) {
    case State::start: return read_head(input);
    case State::body: return read_body(input);
    case State::body_end:
      state_ = State::start;
      beast_.reset();
      return Step{Event::end, 0};
    case State::failed: break;
  }
  return refuse(status_, "the message before could not be read");
}

// Looks at each byte once, so a head that comes byte by byte costs no more than one that comes
// whole. Returns the length of the head, or 0 while it is incomplete.
Result<std::size_t> Decoder::find_head_end(std::string_view input) {
  for (; scanned_ < input.size(); ++scanned_) {
    const char c = input[scanned_];
    const bool after_cr = scanned_ != 0 && input[scanned_ - 1] == '\r';
    if (after_cr != (c == '\n')) return refuse(400, "a line does not end with CR LF");
    if (c == '\0') return refuse(400, "a zero byte in the head");
    if (scanned_ >= limits_.head_bytes) {
      return refuse(431, fmt::format("the head is larger than {} bytes", limits_.head_bytes));
    }
    if (scanned_ - line_start_ > limits_.line_bytes + 1) {
      return refuse(lines_ == 0 ? 414 : 431,
                    fmt::format("a line of the head is longer than {} bytes", limits_.line_bytes));
    }
    if (c != '\n') continue;
    if (scanned_ - line_start_ == 1) {
      if (lines_ == 0) return refuse(400, "an empty line where a message should begin");
      return scanned_ + 1;
    }
    if (++lines_ > limits_.fields + 1) {
      return refuse(431, fmt::format("more than {} header lines", limits_.fields));
    }
    line_start_ = scanned_ + 1;
  }
  return std::size_t{0};
}

Result<Decoder::Step> Decoder::read_head(std::string_view input) {
  const auto size = TRY(find_head_end(input));
  if (size == 0) return Step{Event::need_more, 0};
  const auto text = input.substr(0, size);
  Result<> parsed;
  if (side_ == Side::server) {
    auto request = parse_request_head(text);
    if (request)
      request_ = std::move(*request);
    else
      parsed = std::move(request).error();
  } else {
    auto response = parse_response_head(text);
    if (response)
      response_ = std::move(*response);
    else
      parsed = std::move(response).error();
  }
  if (!parsed) return refuse(parsed.error().sys, std::move(parsed).error().message);
  beast_ = BeastParser::create(side_ == Side::server ? BeastParser::Kind::request
                                                     : BeastParser::Kind::response);
  if (auto agreed = beast_->check_head(text, head(), no_body_); !agreed) {
    return refuse(400, std::move(agreed).error().message);
  }
  scanned_ = line_start_ = lines_ = 0;
  remaining_ = head().framing.kind == Framing::Kind::length ? head().framing.length : 0;
  const bool empty = no_body_ || head().framing == Framing{};
  state_ = empty ? State::body_end : State::body;
  return Step{Event::head, size};
}

Result<Decoder::Step> Decoder::read_body(std::string_view input) {
  switch (head().framing.kind) {
    case Framing::Kind::length: {
      if (input.empty()) return Step{Event::need_more, 0};
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), remaining_));
      remaining_ -= size;
      if (remaining_ == 0) state_ = State::body_end;
      return Step{Event::body, size, input.substr(0, size)};
    }
    case Framing::Kind::until_close:
      if (input.empty()) return Step{Event::need_more, 0};
      return Step{Event::body, input.size(), input};
    case Framing::Kind::chunked: break;
  }
  std::size_t consumed = 0;
  for (;;) {  // a chunk's header gives no event of its own
    auto piece = beast_->read_chunked(input.substr(consumed));
    if (!piece) return refuse(400, std::move(piece).error().message);
    consumed += piece->consumed;
    if (piece->done) {
      state_ = State::body_end;
      const auto end = TRY(next(input.substr(consumed)));
      return Step{end.event, consumed};
    }
    if (!piece->body.empty()) return Step{Event::body, consumed, piece->body};
    if (piece->consumed == 0) return Step{Event::need_more, consumed};
  }
}

Result<Decoder::Step> Decoder::finish() {
  if (state_ == State::body && head().framing.kind == Framing::Kind::until_close) {
    state_ = State::body_end;
    return next({});
  }
  if (state_ == State::body_end) return next({});
  if (at_start()) return Step{Event::need_more, 0};
  state_ = State::failed;
  return Error{Errc::unavailable, "the connection ended in the midst of a message"};
}

namespace {

Result<> append_fields(std::string& out, const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (!is_token(name) || !is_field_value(value)) {
      return Error{Errc::internal, "header " + name + " cannot be sent: malformed name or value"};
    }
    for (const auto* own : {"Content-Length", "Transfer-Encoding", "Connection"}) {
      if (equal_ignoring_case(name, own)) {
        return Error{Errc::internal,
                     std::string(own) + " is written by the codec, not by its caller"};
      }
    }
    out.append(name).append(": ").append(value).append("\r\n");
  }
  return {};
}

void append_framing(std::string& out, const Framing& framing) {
  switch (framing.kind) {
    case Framing::Kind::chunked: out += "Transfer-Encoding: chunked\r\n"; return;
    case Framing::Kind::length:
      fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", framing.length);
      return;
    case Framing::Kind::until_close: return;
  }
}

}  // namespace

Result<std::string> encode_request_head(Method method, std::string_view target,
                                        std::string_view host, const Headers& headers,
                                        Framing framing) {
  const bool clean = std::all_of(target.begin(), target.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f; });
  if (target.empty() || !clean || !is_field_value(host)) {
    return Error{Errc::invalid, "the request target has characters that must be escaped"};
  }
  std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", to_string(method), target, host);
  TRY(append_fields(out, headers));
  const bool may_have_body = method == Method::post || method == Method::put ||
                             method == Method::patch;
  if (may_have_body || framing != Framing{}) append_framing(out, framing);
  out += "\r\n";
  return out;
}

Result<std::string> encode_response_head(int status, const Headers& headers, Framing framing,
                                         bool keep_alive) {
  CHECK(status >= 100 && status <= 599);
  std::string out;
  out.reserve(256);
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status, reason_of(status));
  TRY(append_fields(out, headers));
  if (status >= 200 && status != 204 && status != 304) append_framing(out, framing);
  out += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return out;
}

std::string chunk_begin(std::size_t size) {
  CHECK(size != 0);  // an empty chunk would end the body
  return fmt::format("{:x}\r\n", size);
}

}  // namespace tare::http
