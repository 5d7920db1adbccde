#include "api/auth.h"

#include <string>

#include "api/errors.h"

namespace tare::api {

namespace {

constexpr std::string_view kBearer = "Bearer ";
constexpr int kUnauthorized = 401, kForbidden = 403, kMisdirected = 421;

// Both are digests: the time says nothing about the key, and not even the digests are compared in
// an order.
bool same(const Sha256Digest& a, const Sha256Digest& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

bool knows_key(const http::RequestHead& head, const Sha256Digest& api_key) {
  if (head.headers.count("Authorization") != 1) return false;
  const std::string_view value = *head.headers.get("Authorization");
  if (value.size() < kBearer.size() ||
      !http::equal_ignoring_case(value.substr(0, kBearer.size()), kBearer)) {
    return false;
  }
  return same(sha256(value.substr(kBearer.size())), api_key);
}

}  // namespace

bool is_loopback_host(std::string_view host, std::uint16_t port) {
  const std::string suffix = ":" + std::to_string(port);
  if (host.ends_with(suffix)) {
    host.remove_suffix(suffix.size());
  } else if (port != 80) {
    return false;
  }
  return host == "127.0.0.1" || host == "[::1]" || http::equal_ignoring_case(host, "localhost");
}

std::optional<Refusal> judge_tcp(const http::RequestHead& head, std::uint16_t port,
                                 const Sha256Digest& api_key) {
  if (!is_loopback_host(head.host, port)) {
    return Refusal{kMisdirected,
                   Error{Errc::invalid, "Host: use 127.0.0.1 or localhost, with the port"}};
  }
  if (head.headers.get("Origin")) {
    return Refusal{kForbidden, Error{Errc::denied, "Origin: this API is not for web pages"}};
  }
  if (!knows_key(head, api_key)) {
    return Refusal{kUnauthorized, Error{Errc::denied,
                                        "Authorization: send `Bearer` and the key in "
                                        "$TARE_HOME/state/api_key"}};
  }
  return std::nullopt;
}

Result<> admit(http::Exchange& exchange, std::uint16_t port, const Sha256Digest& api_key) {
  if (std::holds_alternative<fiber::UnixPeer>(exchange.peer())) return ok();
  const auto refusal = judge_tcp(exchange.request(), port, api_key);
  if (!refusal) return ok();
  http::Response response = error_response(refusal->error, refusal->status);
  if (refusal->status == kUnauthorized) response.headers.add("WWW-Authenticate", "Bearer");
  return exchange.reply(response);
}

}  // namespace tare::api
