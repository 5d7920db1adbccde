// Who may speak. On the unix socket: whoever could open it (its file mode decides). Over TCP: who
// knows the API key, with a Host that is this listener's and no Origin (only browsers send one), so
// that no page in a browser on this machine can reach the API.
//
// Pure but for admit(). What never happens: the time of a comparison tells how much of a key was
// right.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "http/exchange.h"

namespace tare::api {

struct Refusal {
  int status = 401;
  Error error;
};

// nullopt: welcome. `port` is the TCP listener's.
std::optional<Refusal> judge_tcp(const http::RequestHead& head, std::uint16_t port,
                                 const Sha256Digest& api_key);

bool is_loopback_host(std::string_view host, std::uint16_t port);

// For ServerOptions::admit: answers those who may not.
Result<> admit(http::Exchange& exchange, std::uint16_t port, const Sha256Digest& api_key);

}  // namespace tare::api
