// What a registry demands in WWW-Authenticate: Basic, or Bearer with a place to fetch a token from.
// Hostile text. Pure. Errors: Errc::invalid. Source: RFC 9110 section 11, Docker token
// authentication.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::registry {

struct Challenge {
  enum class Kind : std::uint8_t { basic, bearer };
  Kind kind = Kind::basic;
  std::string realm, service, scope;  // of Bearer
};
Result<Challenge> parse_challenge(std::string_view header);

}  // namespace tare::registry
