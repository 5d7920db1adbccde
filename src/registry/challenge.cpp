#include "registry/challenge.h"

#include <algorithm>
#include <map>

#include "base/text.h"

namespace tare::registry {

namespace {

constexpr std::size_t kMaxHeaderBytes = 4096;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

void skip(std::string_view& text, std::string_view what) {
  text.remove_prefix(std::min(text.find_first_not_of(what), text.size()));
}

std::string take_token(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_of("=, \t\""), text.size());
  std::string token(text.substr(0, end));
  text.remove_prefix(end);
  return token;
}

std::string take_quoted(std::string_view& text) {
  std::string out;
  text.remove_prefix(1);
  while (!text.empty() && text.front() != '"') {
    if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
    out += text.front();
    text.remove_prefix(1);
  }
  if (!text.empty()) text.remove_prefix(1);
  return out;
}

}  // namespace

Result<Challenge> parse_challenge(std::string_view header) {
  if (header.size() > kMaxHeaderBytes) return Error{Errc::invalid, "WWW-Authenticate: too long"};
  skip(header, " \t");
  const std::string scheme = lower(take_token(header));
  if (scheme == "basic") return Challenge{};
  if (scheme != "bearer")
    return Error{Errc::invalid, "the registry demands " + quote(scheme) + ", which is not spoken"};
  std::map<std::string, std::string> values;
  for (skip(header, " \t,"); !header.empty(); skip(header, " \t,")) {
    const std::string key = lower(take_token(header));
    skip(header, " \t");
    if (key.empty() || !header.starts_with('='))
      return Error{Errc::invalid, "WWW-Authenticate: it cannot be understood"};
    header.remove_prefix(1);
    skip(header, " \t");
    values[key] = header.starts_with('"') ? take_quoted(header) : take_token(header);
  }
  Challenge out{Challenge::Kind::bearer, values["realm"], values["service"], values["scope"]};
  if (out.realm.empty()) return Error{Errc::invalid, "WWW-Authenticate: Bearer without realm"};
  return out;
}

}  // namespace tare::registry
