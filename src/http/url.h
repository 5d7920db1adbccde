// Request targets: strict decoding of paths and queries. Pure functions. Source: RFC 3986.
//
// Refused with Errc::invalid rather than interpreted: anything but the characters RFC 3986 allows,
// a broken escape, an escaped `/`, `\` or control character, invalid UTF-8 after decoding, `.` and
// `..` segments (escaped or not), an empty segment, a parameter that occurs twice. `+` is a plus
// sign. Decoding happens once.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tare::http {

inline constexpr std::size_t kMaxPathSegments = 32;
inline constexpr std::size_t kMaxQueryParameters = 32;

class Query {
 public:
  static Result<Query> parse(std::string_view text);  // without the `?`

  std::optional<std::string_view> get(std::string_view name) const;
  // An error naming the first parameter that is not among the names.
  Result<> allow_only(std::span<const std::string_view> names) const;
  Result<> allow_only(std::initializer_list<std::string_view> names) const {
    return allow_only(std::span(names.begin(), names.size()));
  }
  std::size_t size() const { return parameters_.size(); }

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

struct Target {
  std::string path;  // as spelled, without the query
  std::vector<std::string>
      segments;  // decoded; "/v1/runs" has two; a trailing `/` adds an empty last one
  Query query;
};

// An origin-form target: "/path?query". Other forms (absolute, authority, `*`) are refused.
Result<Target> parse_target(std::string_view target);

// One path segment or one name or value of a query.
Result<std::string> percent_decode(std::string_view text);
// Everything but A-Z a-z 0-9 - . _ ~ is escaped: fits for a path segment and for a query alike.
std::string percent_encode(std::string_view text);

}  // namespace tare::http
