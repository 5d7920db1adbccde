// The route table: which handler serves which method and path, and the limits of each. Owned by the
// server, never changed after it was made. Pure lookup.
//
//   {.method = Method::get, .path = "/v1/runs/{id}", .handler = get_run}
//
// A template is literal segments and `{name}`, which matches one whole decoded segment, never an
// empty one. Two routes that match the same path must have the same template but for literals
// against names, where the literal wins ("/v1/runs/latest" before "/v1/runs/{id}"). A template that
// is not understood, or a route given twice, is a bug (CHECK).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace tare::http {

class Exchange;

// Answers the request through the exchange (reply, or start/write) and returns. An error before the
// answer has begun becomes an error response; one after it breaks the connection off, so that the
// client can tell.
using Handler = std::function<Result<>(Exchange&)>;

struct Route {
  Method method;  // a GET route serves HEAD too
  std::string path;
  Handler handler;
  // A larger body is answered with 413; 0: the route takes no body.
  std::uint64_t max_body_bytes = 0;
  // How long the client may send nothing in the midst of a body that the handler waits for; zero:
  // for ever.
  std::chrono::milliseconds body_timeout{30'000};
  // How long a write may wait for a client that does not read; zero: for ever.
  std::chrono::milliseconds write_timeout{60'000};
  // Long waits: a client that ends its sending is taken as gone (a TCP peer that has left cannot be
  // told from one that merely sends no more). Without it only a connection that is surely dead
  // cancels the exchange.
  bool ends_with_peer = false;
};

using PathParameters = std::vector<std::pair<std::string_view, std::string>>;  // name, decoded
                                                                               // value

class RouteTable {
 public:
  explicit RouteTable(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;  // null: no such path, or (see allow) not with this method
    PathParameters parameters;     // names point into the table
    std::string allow;             // for 405: "GET, HEAD, POST"; empty: no such path
  };
  Match find(Method method, const std::vector<std::string>& segments) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Segment {
    std::string text;  // literal, or the parameter's name
    bool is_parameter = false;
  };
  static std::vector<Segment> parse_template(std::string_view path);

  std::vector<Route> routes_;
  std::vector<std::vector<Segment>> templates_;  // one for each route
};

}  // namespace tare::http
