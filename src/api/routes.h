// The route table: method, path, scope, operation, limits, handler. A test compares it with
// docs/api/openapi.yaml.
#pragma once

#include <span>
#include <string_view>

#include "api/handlers.h"
#include "http/route.h"

namespace tare::api {

// What a caller must be allowed to do. There is one kind of caller yet, who may do everything.
enum class Scope : std::uint8_t {
  daemon_read,
  blobs_write,
  runs_read,
  runs_write,
  agents_read,
  agents_write,
  runners_read,
  runners_write,
  environments_read,
  environments_write,
  secrets_read,
  secrets_write
};

// What the request's body is.
enum class Body : std::uint8_t { none, json, upload, stream };
// How long the answer may be in coming: `long_poll` ends with its client; `follow` may also wait
// for a client that does not read, for as long as it likes.
enum class Pace : std::uint8_t { prompt, long_poll, follow };

struct Row {
  http::Method method;
  std::string_view path;
  Scope scope;
  Body body;
  Pace pace;
  std::string_view operation;
  Result<> (*handler)(Services&, Exchange&);
};

std::span<const Row> rows();
std::vector<http::Route> make_routes(Services& services);

}  // namespace tare::api
