// JSON: a thin layer over Boost.JSON that is strict on the way in and predictable on the way out.
//
// Refused on parsing: anything but RFC 8259, a repeated key, nesting or size above the limits,
// invalid UTF-8, a number that is not finite. Errors: Errc::invalid with line and column
// (Errc::exhausted for the size). Threads: plain values. What never happens: an exception, an
// unbounded recursion, invalid UTF-8 in the output (it becomes U+FFFD), a number that is not JSON
// (infinities are written as null).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/limits.h"
#include "base/result.h"

namespace tare {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

struct JsonLimits {
  std::size_t max_bytes = kMaxJsonBodyBytes;
  std::size_t max_depth = kMaxJsonDepth;
};

Result<Json> parse_json(std::string_view text, JsonLimits limits = {});

JsonArray text_list(const std::vector<std::string>& texts);

// One line without spaces, keys in the order they were added.
std::string to_text(const Json& value);
// One line without spaces, keys sorted by their bytes: equal values have equal texts. For digests.
std::string canonical_text(const Json& value);
// Indented by two spaces, with a newline at the end. For people.
std::string pretty_text(const Json& value);

}  // namespace tare
