#include "cli/client.h"

#include <cerrno>
#include <charconv>

#include <fmt/core.h>

#include "base/decode.h"
#include "base/text.h"

namespace tare::cli {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxAnswerBytes = std::size_t{64}
                                        << 20;            // a page of 1000 runs with long commands
constexpr fiber::Duration kAnswerTimeout = seconds(120);  // for a whole JSON answer
constexpr fiber::Duration kStall = seconds(45);           // keep-alive frames come every 10 s

constexpr std::pair<std::string_view, Errc> kCodes[] = {
    {"invalid", Errc::invalid},         {"not_found", Errc::not_found},
    {"denied", Errc::denied},           {"conflict", Errc::conflict},
    {"exhausted", Errc::exhausted},     {"timeout", Errc::timeout},
    {"unavailable", Errc::unavailable}, {"cancelled", Errc::cancelled},
    {"internal", Errc::internal}};

Result<Errc> code_from(std::string_view text) {
  for (const auto& [name, code] : kCodes) {
    if (name == text) return code;
  }
  return Errc::internal;  // a newer server's
}

struct Refusal {
  Error error;
};

Result<Refusal> read_refusal(const Node& node) {
  Refusal refusal;
  Fields fields(node);
  fields.required("code", refusal.error.code, parsed(code_from));
  fields.required("message", refusal.error.message, text(kMaxJsonBodyBytes));
  fields.optional("field", refusal.error.field, text(kMaxPathBytes));
  TRY(fields.finish());
  return refusal;
}

// What the server says went wrong.
Error refusal_of(int status, const std::string& body) {
  const auto json = parse_json(body);
  if (json) {
    Refusal refusal;
    const Node node(*json, Unknown::ignore);
    Fields fields(node);
    fields.required("error", refusal, read_refusal);
    if (fields.finish()) return refusal.error;
  }
  return Error{Errc::internal,
               fmt::format("the server answers {} without saying why: is this tared?", status)};
}

}  // namespace

bool no_daemon(const Error& error) {
  return error.code == Errc::unavailable && (error.sys == ENOENT || error.sys == ECONNREFUSED);
}

bool connection_lost(const Error& error) {
  return error.code == Errc::unavailable && error.sys != 0 && error.sys != EPIPE &&
         !no_daemon(error);
}

Result<UrlAddress> parse_url(std::string_view url) {
  const auto refuse = [&](std::string_view why) {
    return Error{Errc::invalid,
                 fmt::format("--url {}: {}; write http://127.0.0.1:7419", quote(url), why)};
  };
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return refuse("only http:// is spoken");
  std::string_view rest = url.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  UrlAddress out;
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos) return refuse("the port is missing");
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc{} || end != port.data() + port.size() || out.port == 0) {
    return refuse("the port is not one");
  }
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const bool plain = host.find_first_not_of("0123456789abcdefABCDEF.:") == std::string_view::npos;
  if (host.empty() || (!plain && host != "localhost")) return refuse("the host must be an address");
  out.host = host;
  return out;
}

Result<Client> Client::create(const Target& target) {
  if (target.url.empty()) {
    const std::string socket = target.home + "/run/tared.sock";
    return Client(http::Client::over_unix(socket), socket);
  }
  const UrlAddress address = TRY(parse_url(target.url));
  const bool clean = target.api_key.find_first_of(" \t\r\n") == std::string::npos;
  if (target.api_key.empty() || !clean) {
    return Error{Errc::invalid,
                 "TARE_API_KEY must be set to use a URL: it is in state/api_key of the daemon's "
                 "home, readable by its owner"};
  }
  Client client(http::Client::over_tcp(address.host, address.port), target.url);
  client.api_key_ = target.api_key;
  return client;
}

Error Client::explain(Error error) const {
  switch (error.sys) {
    case ENOENT:
    case ECONNREFUSED:
      return Error{
          Errc::unavailable,
          fmt::format("no daemon at {}: start it with `tare up --detach` (--home or $TARE_HOME say "
                      "where it lives)",
                      place_),
          error.sys};
    case EACCES:
    case EPERM:
      return Error{
          Errc::denied,
          fmt::format(
              "may not use {}: become root, or join the group tare with `usermod -aG tare USER`",
              place_),
          error.sys};
    default: break;
  }
  if (error.sys == EPIPE) error.sys = ECONNRESET;  // EPIPE means our own stdout everywhere else
  // Not our request is at fault, but what came back.
  if (error.code == Errc::invalid) error.code = Errc::internal;
  if (error.code == Errc::timeout) error.code = Errc::unavailable;
  if (error.sys == 0) error.sys = ECONNRESET;  // see connection_lost
  return std::move(error).context(fmt::format("connection to {}", place_));
}

Result<http::ClientResponse> Client::begin(http::ClientRequest request, const fiber::Context& ctx) {
  if (!api_key_.empty()) request.headers.set("Authorization", "Bearer " + api_key_);
  auto response = http_.send(std::move(request), ctx);
  if (!response) {
    if (ctx.cancelled()) return std::move(response).error();
    return explain(std::move(response).error());
  }
  return response;
}

Result<Answer> Client::exchange(http::ClientRequest request, const fiber::Context& ctx) {
  auto response = TRY(begin(std::move(request), ctx));
  auto body = response.read_all(kMaxAnswerBytes, ctx.with_timeout(kAnswerTimeout));
  if (!body) return ctx.cancelled() ? std::move(body).error() : explain(std::move(body).error());
  if (response.status() >= 400) return refusal_of(response.status(), *body);
  Answer answer{.status = response.status(), .body = nullptr};
  if (body->empty()) return answer;
  auto json = parse_json(*body, {.max_bytes = kMaxAnswerBytes});
  if (!json) return explain(std::move(json).error());
  answer.body = std::move(json).value();
  return answer;
}

Result<Answer> Client::get(std::string path, const fiber::Context& ctx) {
  return exchange({.method = http::Method::get, .target = std::move(path)},
                  ctx.with_timeout(kAnswerTimeout));
}

Result<Answer> Client::post(std::string path, const Json& body, const fiber::Context& ctx) {
  return post_and_wait(std::move(path), body, ctx.with_timeout(kAnswerTimeout));
}

Result<Answer> Client::post_and_wait(std::string path, const Json& body,
                                     const fiber::Context& ctx) {
  return exchange({.method = http::Method::post,
                   .target = std::move(path),
                   .headers = {{"Content-Type", "application/json"}},
                   .body = to_text(body)},
                  ctx);
}

Result<Answer> Client::put_json(std::string path, const Json& body, const fiber::Context& ctx) {
  return exchange({.method = http::Method::put,
                   .target = std::move(path),
                   .headers = {{"Content-Type", "application/json"}},
                   .body = to_text(body)},
                  ctx.with_timeout(kAnswerTimeout));
}

Result<Answer> Client::post_empty(std::string path, const fiber::Context& ctx) {
  return exchange({.method = http::Method::post, .target = std::move(path)},
                  ctx.with_timeout(kAnswerTimeout));
}

Result<Answer> Client::post_and_wait(std::string path, const fiber::Context& ctx) {
  return exchange({.method = http::Method::post, .target = std::move(path)}, ctx);
}

Result<Answer> Client::remove(std::string path, const fiber::Context& ctx) {
  return exchange({.method = http::Method::del, .target = std::move(path)},
                  ctx.with_timeout(kAnswerTimeout));
}

Result<bool> Client::exists(std::string path, const fiber::Context& ctx) {
  auto response = TRY(begin({.method = http::Method::head, .target = std::move(path)}, ctx));
  if (response.status() == 200) return true;
  if (response.status() == 404) return false;
  return refusal_of(response.status(), "");
}

Result<Answer> Client::put(std::string path, http::BodySource source, const fiber::Context& ctx) {
  return exchange({.method = http::Method::put,
                   .target = std::move(path),
                   .headers = {{"Content-Type", "application/octet-stream"}},
                   .source = std::move(source)},
                  ctx);
}

Result<Answer> Client::send(std::string path, http::BodySource source, const fiber::Context& ctx) {
  return exchange({.method = http::Method::post,
                   .target = std::move(path),
                   .headers = {{"Content-Type", "application/octet-stream"}},
                   .source = std::move(source)},
                  ctx);
}

Result<> Client::receive(std::string path, const BodySink& sink, const fiber::Context& ctx,
                         http::Method method) {
  auto response = TRY(begin({.method = method, .target = std::move(path)}, ctx));
  if (response.status() >= 400) {
    auto body = response.read_all(kMaxAnswerBytes, ctx.with_timeout(kAnswerTimeout));
    if (!body) return explain(std::move(body).error());
    return refusal_of(response.status(), *body);
  }
  for (;;) {
    auto piece = response.read(ctx.with_timeout(kStall));
    if (!piece)
      return ctx.cancelled() ? std::move(piece).error() : explain(std::move(piece).error());
    if (piece->empty()) return ok();
    TRY(sink(*piece));
  }
}

}  // namespace tare::cli
