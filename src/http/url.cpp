#include "http/url.h"

#include <algorithm>

#include "base/text.h"

namespace tare::http {
namespace {

Error invalid(std::string message) { return Error{Errc::invalid, std::move(message)}; }

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_unreserved(char c) {
  return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool is_pchar(char c) {
  constexpr std::string_view kOthers = "!$&'()*+,;=:@";
  return is_unreserved(c) || kOthers.find(c) != kOthers.npos;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Decodes; `others` are the characters allowed unescaped besides pchar.
Result<std::string> decode(std::string_view text, std::string_view others) {
  std::string out;
  out.reserve(text.size());
  bool escaped_high = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '%') {
      if (!is_pchar(c) && others.find(c) == others.npos) {
        return invalid("a character that must be escaped as %XX in " + quote(text));
      }
      out += c;
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) return invalid("a % without two hexadecimal digits in " + quote(text));
    const int value = high * 16 + low;
    if (value < 0x20 || value == 0x7f)
      return invalid("an escaped control character in " + quote(text));
    escaped_high = escaped_high || value >= 0x80;
    out += static_cast<char>(value);
    i += 2;
  }
  if (escaped_high && !is_utf8(out)) return invalid("not UTF-8 when decoded: " + quote(text));
  return out;
}

Result<std::string> decode_segment(std::string_view text) {
  auto segment = TRY(decode(text, ""));
  if (segment == "." || segment == "..") return invalid("a `.` or `..` segment in the path");
  if (segment.find_first_of("/\\") != segment.npos) {
    return invalid("an escaped slash or backslash in a path segment: " + quote(text));
  }
  return segment;
}

}  // namespace

Result<Query> Query::parse(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    const bool more = end < text.size();
    text.remove_prefix(more ? end + 1 : end);
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = TRY(decode(pair.substr(0, equals), "/?"));
    if (name.empty() || (more && text.empty())) {
      return invalid("a parameter without a name in the query");
    }
    if (query.get(name)) return invalid("query parameter " + quote(name) + " is given twice");
    auto value = equals == pair.size() ? std::string() : TRY(decode(pair.substr(equals + 1), "/?"));
    if (query.parameters_.size() == kMaxQueryParameters) {
      return invalid("more than 32 parameters in the query");
    }
    query.parameters_.emplace_back(std::move(name), std::move(value));
  }
  return query;
}

std::optional<std::string_view> Query::get(std::string_view name) const {
  for (const auto& [key, value] : parameters_) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Result<> Query::allow_only(std::span<const std::string_view> names) const {
  for (const auto& [key, value] : parameters_) {
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    return invalid("unknown query parameter " + quote(key) +
                   (names.empty() ? "; this path takes none"
                                  : "; allowed: " + joined({names.begin(), names.end()})));
  }
  return {};
}

Result<Target> parse_target(std::string_view text) {
  Target target;
  const auto mark = std::min(text.find('?'), text.size());
  const auto path = text.substr(0, mark);
  if (path.empty() || path.front() != '/') {
    return invalid("the request target must be a path that begins with `/`");
  }
  if (mark < text.size()) target.query = TRY(Query::parse(text.substr(mark + 1)));
  target.path = path;
  auto rest = path.substr(1);
  if (rest.empty()) return target;
  for (;;) {
    const auto end = std::min(rest.find('/'), rest.size());
    const bool last = end == rest.size();
    if (end == 0 && !last) return invalid("an empty segment (`//`) in the path");
    if (target.segments.size() == kMaxPathSegments)
      return invalid("more than 32 segments in the path");
    target.segments.push_back(TRY(decode_segment(rest.substr(0, end))));
    if (last) return target;
    rest.remove_prefix(end + 1);
  }
}

Result<std::string> percent_decode(std::string_view text) { return decode(text, ""); }

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

}  // namespace tare::http
