#include "http/head_syntax.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace tare::http {
namespace {

constexpr std::size_t kMaxHostBytes = 255;
constexpr std::size_t kMaxLengthDigits = 18;  // fits 63 bits
constexpr std::size_t kMaxChunkDigits = 16;

Error refuse(int status, std::string message) {
  return Error{Errc::invalid, std::move(message), status};
}

bool is_token_char(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         kOthers.find(c) != kOthers.npos;
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const auto first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Takes the next line off, without its CRLF.
std::string_view take_line(std::string_view& head) {
  const auto end = head.find("\r\n");
  const auto line = head.substr(0, end);
  head.remove_prefix(end + 2);
  return line;
}

Result<int> parse_version(std::string_view text) {
  if (text == "HTTP/1.1") return 1;
  if (text == "HTTP/1.0") return 0;
  const bool looks_like_one = text.size() == 8 && text.starts_with("HTTP/") && text[6] == '.' &&
                              text[5] >= '0' && text[5] <= '9' && text[7] >= '0' && text[7] <= '9';
  if (looks_like_one) return refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  return refuse(400, "the start line has no HTTP version");
}

Result<> parse_fields(std::string_view head, Headers& headers) {
  while (head != "\r\n") {
    const auto line = take_line(head);
    if (line.front() == ' ' || line.front() == '\t') {
      return refuse(400, "a folded header line; put the value on one line");
    }
    const auto colon = std::min(line.find(':'), line.size());
    const auto name = line.substr(0, colon);
    if (colon == line.size() || !is_token(name)) {
      return refuse(400, "a malformed header name in line " + quote(line));
    }
    const auto value = trimmed(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), is_value_char)) {
      return refuse(400, "a control character in the value of header " + quote(name));
    }
    headers.add(name, value);
  }
  return {};
}

// The one value of a field that may occur once, or not at all.
Result<std::optional<std::string_view>> single(const Headers& headers, std::string_view name) {
  if (headers.count(name) > 1)
    return refuse(400, "header " + std::string(name) + " is given twice");
  return headers.get(name);
}

Result<std::uint64_t> parse_length(std::string_view text) {
  const bool digits = std::all_of(text.begin(), text.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || !digits)
    return refuse(400, "Content-Length is not a decimal number: " + quote(text));
  if (text.size() > kMaxLengthDigits) return refuse(400, "Content-Length has more than 18 digits");
  std::uint64_t length = 0;
  for (const char c : text) length = length * 10 + static_cast<std::uint64_t>(c - '0');
  return length;
}

// Framing by the fields alone; `none` is what a message without them has.
Result<Framing> parse_framing(const Head& head, Framing none) {
  const auto coding = TRY(single(head.headers, "Transfer-Encoding"));
  const auto length = TRY(single(head.headers, "Content-Length"));
  if (coding && length) return refuse(400, "both Content-Length and Transfer-Encoding are given");
  if (coding) {
    if (head.minor_version == 0) return refuse(400, "Transfer-Encoding in HTTP/1.0");
    if (!equal_ignoring_case(*coding, "chunked")) {
      return refuse(400, "Transfer-Encoding must be exactly `chunked`, not " + quote(*coding));
    }
    return Framing{Framing::Kind::chunked, 0};
  }
  if (length) return Framing{Framing::Kind::length, TRY(parse_length(*length))};
  return none;
}

Result<bool> parse_keep_alive(const Head& head) {
  bool close = false;
  bool keep = false;
  for (const auto& field : head.headers) {
    if (!equal_ignoring_case(field.name, "Connection")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(','), rest.size());
      const auto option = trimmed(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (!is_token(option))
        return refuse(400, "a malformed Connection header: " + quote(field.value));
      close = close || equal_ignoring_case(option, "close");
      keep = keep || equal_ignoring_case(option, "keep-alive");
    }
  }
  return !close && (head.minor_version == 1 || keep);
}

// uri-host [ ":" port ]: a name, an IPv4 or bracketed IPv6 address; no user, no escapes.
bool is_host(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostBytes) return false;
  auto all_of = [](std::string_view text, auto allowed) {
    return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
  };
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  auto is_name_char = [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
  };
  std::size_t end = 0;
  if (host.front() == '[') {
    end = host.find(']');
    if (end == host.npos) return false;
    const auto inside = host.substr(1, end - 1);
    if (!all_of(inside, [&](char c) { return is_hex(c) || c == ':' || c == '.'; })) return false;
    ++end;
  } else {
    end = std::min(host.find(':'), host.size());
    if (!all_of(host.substr(0, end), is_name_char)) return false;
  }
  if (end == host.size()) return true;
  const auto port = host.substr(end + 1);
  return host[end] == ':' && port.size() <= 5 && all_of(port, is_digit);
}

Result<> parse_request_line(std::string_view line, RequestHead& request) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == line.npos || first == last || line.find(' ', first + 1) != last) {
    return refuse(400, "the request line is not `METHOD target HTTP/1.1`");
  }
  const auto method = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  request.minor_version = TRY(parse_version(line.substr(last + 1)));
  if (!is_token(method)) return refuse(400, "a malformed method");
  const auto known = method_from(method);
  if (!known) return refuse(501, "method " + quote(method) + " is not known here");
  request.method = *known;
  const bool visible = std::all_of(target.begin(), target.end(),
                                   [](char c) { return c > 0x20 && c < 0x7f; });
  if (target.empty() || !visible)
    return refuse(400, "the request target has characters that must be escaped");
  request.target = target;
  return {};
}

Result<> parse_host(RequestHead& request) {
  const auto host = TRY(single(request.headers, "Host"));
  if (!host) {
    if (request.minor_version == 0) return {};
    return refuse(400, "no Host header");
  }
  if (!is_host(*host)) return refuse(400, "a malformed Host header: " + quote(*host));
  request.host = *host;
  return {};
}

Result<> parse_expect(RequestHead& request) {
  const auto expect = TRY(single(request.headers, "Expect"));
  if (!expect) return {};
  if (!equal_ignoring_case(*expect, "100-continue")) {
    return refuse(417, "Expect: only 100-continue is understood");
  }
  // Without a body there is nothing to wait for; in HTTP/1.0 it is to be ignored.
  const bool has_body = request.framing != Framing{};
  request.expects_continue = request.minor_version == 1 && has_body;
  return {};
}

}  // namespace

Result<std::size_t> chunk_header_size(std::string_view input, bool first) {
  std::size_t at = 0;
  // True: a CRLF is there, false: it is not there yet.
  auto take_line_end = [&]() -> Result<bool> {
    for (const char want : {'\r', '\n'}) {
      if (at == input.size()) return false;
      if (input[at] != want) return refuse(400, "malformed chunk: CR LF expected");
      ++at;
    }
    return true;
  };
  if (!first && !TRY(take_line_end())) return std::size_t{0};
  const auto digits = at;
  bool zero = true;
  while (at < input.size() && is_hex(input[at])) {
    zero = zero && input[at] == '0';
    if (at - digits == kMaxChunkDigits) return refuse(400, "a chunk size of more than 16 digits");
    ++at;
  }
  if (at == input.size()) return std::size_t{0};
  if (at == digits) return refuse(400, "a chunk without a size");
  if (input[at] == ';') return refuse(400, "chunk extensions are not accepted");
  if (!TRY(take_line_end())) return std::size_t{0};
  if (!zero) return at;
  if (at < input.size() && input[at] != '\r') return refuse(400, "trailers are not accepted");
  return TRY(take_line_end()) ? at : std::size_t{0};
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_field_value(std::string_view text) {
  return trimmed(text).size() == text.size() &&
         std::all_of(text.begin(), text.end(), is_value_char);
}

Result<RequestHead> parse_request_head(std::string_view head) {
  RequestHead request;
  TRY(parse_request_line(take_line(head), request));
  TRY(parse_fields(head, request.headers));
  request.framing = TRY(parse_framing(request, Framing{}));
  request.keep_alive = TRY(parse_keep_alive(request));
  TRY(parse_host(request));
  TRY(parse_expect(request));
  return request;
}

Result<ResponseHead> parse_response_head(std::string_view head) {
  ResponseHead response;
  const auto line = take_line(head);
  constexpr std::size_t kReasonAt = 13;  // behind "HTTP/1.1 200 "
  const bool shaped = line.size() >= kReasonAt && line[8] == ' ' && line[12] == ' ';
  if (!shaped) return refuse(400, "the status line is not `HTTP/1.1 200 OK`");
  response.minor_version = TRY(parse_version(line.substr(0, 8)));
  response.status = 0;
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return refuse(400, "the status is not three digits");
    response.status = response.status * 10 + (c - '0');
  }
  if (response.status < 100 || response.status > 599)
    return refuse(400, "the status is not 100 to 599");
  const auto reason = line.substr(kReasonAt);
  if (!std::all_of(reason.begin(), reason.end(), is_value_char)) {
    return refuse(400, "a control character in the reason phrase");
  }
  TRY(parse_fields(head, response.headers));
  const bool empty = response.status < 200 || response.status == 204 || response.status == 304;
  const Framing until_close{Framing::Kind::until_close, 0};
  response.framing = TRY(parse_framing(response, empty ? Framing{} : until_close));
  if (empty) response.framing = Framing{};
  response.keep_alive = TRY(parse_keep_alive(response)) && response.framing != until_close;
  return response;
}

}  // namespace tare::http
