// The routes of test_server.h.
#include "http/test_server.h"

namespace tare::http {
namespace {

Response text(std::string body) {
  return {.status = 200, .headers = {{"Content-Type", "text/plain"}}, .body = std::move(body)};
}

Result<> count(Exchange& ex, Seen& seen) {
  for (;;) {
    const auto bytes = TRY(ex.read());
    if (bytes.empty()) return ex.reply(text(std::to_string(ex.bytes_read())));
    seen.bytes += bytes.size();
  }
}

Result<> duplex(Exchange& ex) {
  TRY(ex.start(200, {}, std::nullopt));
  for (;;) {
    const auto bytes = TRY(ex.read());
    if (bytes.empty()) return {};
    TRY(ex.write(std::string(bytes) + "!"));
  }
}

Result<> endless(Exchange& ex, Seen& seen) {
  TRY(ex.start(200, {}, std::nullopt));
  const std::string block(64 << 10, 'x');
  for (;;) {
    TRY(seen.note(ex.write(block)));
    seen.bytes += block.size();
  }
}

Result<> wait(Exchange& ex, Seen& seen) {
  TRY(seen.note(seen.go.wait_until([&] { return seen.went; }, ex.context())));
  return ex.reply(text("went"));
}

Result<> follow(Exchange& ex, Seen& seen) {
  TRY(ex.start(200, {}, std::nullopt));
  TRY(ex.write("first"));
  return seen.note(seen.go.wait_until([&] { return seen.went; }, ex.context()));
}

Result<> send_in_part(Exchange& ex, std::optional<std::uint64_t> length, std::string_view bytes,
                      const Result<>& end) {
  TRY(ex.start(200, {}, length));
  TRY(ex.write(bytes));
  return end;
}

Result<> echo(Exchange& ex, Seen& seen) {
  auto body = TRY(ex.read_all());
  seen.bodies.push_back(body);
  return ex.reply(text(std::move(body)));
}

Result<> tell_peer(Exchange& ex) {
  const auto* peer = std::get_if<fiber::UnixPeer>(&ex.peer());
  return ex.reply(text(peer != nullptr ? "unix " + std::to_string(peer->uid) : "tcp"));
}

Route get_route(std::string path, Handler handler) {
  return {.method = Method::get, .path = std::move(path), .handler = std::move(handler)};
}

constexpr std::uint64_t kAnyBytes = std::uint64_t{1} << 40;

std::vector<Route> routes_with_bodies(Seen& seen) {
  return {{.method = Method::post,
           .path = "/echo",
           .handler = [&](Exchange& ex) { return echo(ex, seen); },
           .max_body_bytes = 100'000,
           .body_timeout = 50ms},
          {.method = Method::post,
           .path = "/ignore",
           .handler = [](Exchange& ex) { return ex.reply(text("ignored")); },
           .max_body_bytes = kAnyBytes},
          {.method = Method::post,
           .path = "/count",
           .handler = [&](Exchange& ex) { return count(ex, seen); },
           .max_body_bytes = kAnyBytes},
          {.method = Method::post,
           .path = "/duplex",
           .handler = duplex,
           .max_body_bytes = 1'000,
           .body_timeout = 0ms}};
}

}  // namespace

std::vector<Route> routes(Seen& seen) {
  auto all = routes_with_bodies(seen);
  auto add = [&](Route route) { all.push_back(std::move(route)); };
  add(get_route("/hello", [](Exchange& ex) { return ex.reply(text("hello")); }));
  add(get_route("/items/{id}", [](Exchange& ex) { return ex.reply(text(ex.parameter("id"))); }));
  add({.method = Method::del, .path = "/items/{id}", .handler = [](Exchange& ex) {
         return ex.reply({.status = 204});
       }});
  add(get_route("/peer", tell_peer));
  add(get_route("/wait", [&](Exchange& ex) { return wait(ex, seen); }));
  add(get_route("/refused",
                [](Exchange&) -> Result<> { return Error{Errc::conflict, "it is \"busy\"\n"}; }));
  add(get_route("/broken", [](Exchange& ex) {
    return send_in_part(ex, std::nullopt, "half", Error{Errc::internal, "disk on fire"});
  }));
  add(get_route("/lengthy", [](Exchange& ex) -> Result<> {
    TRY(send_in_part(ex, 6, "abc", ok()));
    return ex.write("def");
  }));
  add(get_route("/too_short", [](Exchange& ex) { return send_in_part(ex, 6, "abc", ok()); }));
  add(get_route("/silent", [](Exchange&) { return ok(); }));
  add(get_route("/injected", [](Exchange& ex) {
    return ex.reply({.status = 200, .headers = {{"X", "a\r\nY: b"}}, .body = ""});
  }));
  auto endless_route = get_route("/endless", [&](Exchange& ex) { return endless(ex, seen); });
  endless_route.write_timeout = 0ms;
  add(endless_route);
  endless_route.path = "/stalled";
  endless_route.write_timeout = 20ms;
  add(endless_route);
  auto follow_route = get_route("/follow", [&](Exchange& ex) { return follow(ex, seen); });
  follow_route.ends_with_peer = true;
  add(follow_route);
  return all;
}

}  // namespace tare::http
