#include "registry/challenge.h"

#include <algorithm>
#include <map>
#include <vector>

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

struct Demand {
  std::string scheme;  // in lower case
  std::map<std::string, std::string, std::less<>> values;
};

// A word with a "=" behind it is a parameter of the scheme before it; any other begins a scheme.
// What a scheme has instead of parameters (a token68, "Negotiate YII=") is passed over.
Result<std::vector<Demand>> demands_in(std::string_view header) {
  std::vector<Demand> demands;
  for (skip(header, " \t,"); !header.empty(); skip(header, " \t,")) {
    const std::string word = lower(take_token(header));
    if (word.empty()) return Error{Errc::invalid, "WWW-Authenticate: it cannot be understood"};
    skip(header, " \t");
    if (!header.starts_with('=')) {
      demands.push_back({word, {}});
      continue;
    }
    if (demands.empty()) return Error{Errc::invalid, "WWW-Authenticate: it names no scheme"};
    skip(header, "=");
    skip(header, " \t");
    demands.back().values[word] = header.starts_with('"') ? take_quoted(header)
                                                          : take_token(header);
  }
  return demands;
}

}  // namespace

Result<Challenge> parse_challenge(std::string_view header) {
  if (header.size() > kMaxHeaderBytes) return Error{Errc::invalid, "WWW-Authenticate: too long"};
  const std::vector<Demand> demands = TRY(demands_in(header));
  for (const Demand& one : demands) {
    if (one.scheme != "bearer") continue;
    const auto value = [&](const char* key) {
      const auto found = one.values.find(key);
      return found == one.values.end() ? std::string() : found->second;
    };
    if (value("realm").empty())
      return Error{Errc::invalid, "WWW-Authenticate: Bearer without realm"};
    return Challenge{Challenge::Kind::bearer, value("realm"), value("service"), value("scope")};
  }
  std::string schemes;
  for (const Demand& one : demands) {
    if (one.scheme == "basic") return Challenge{};
    schemes += (schemes.empty() ? "" : ", ") + one.scheme;
  }
  return Error{Errc::invalid, "the registry demands " + quote(schemes) + ", which is not spoken"};
}

}  // namespace tare::registry
