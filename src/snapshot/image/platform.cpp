#include "snapshot/image/platform.h"

#include <algorithm>

#include "base/text.h"

namespace tare::snapshot {

namespace {

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace

std::string Platform::text() const {
  std::string out = os + "/" + architecture;
  if (!variant.empty()) out += "/" + variant;
  return out;
}

bool Platform::takes(const Platform& other) const {
  return os == other.os && architecture == other.architecture &&
         (variant.empty() || variant == other.variant);
}

Result<Platform> parse_platform(std::string_view text) {
  std::vector<std::string> words;
  for (std::string_view rest = text; text.size() <= kMaxPlatformBytes;) {
    const std::size_t slash = rest.find('/');
    words.emplace_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  const bool good = (words.size() == 2 || words.size() == 3) && std::ranges::all_of(words, is_word);
  if (!good)
    return Error{Errc::invalid, quote(text) + " is not a platform: write linux/amd64", 0,
                 "platform"};
  return Platform{words[0], words[1], words.size() == 3 ? words[2] : ""};
}

Platform own_platform() {
#if defined(__x86_64__)
  return {"linux", "amd64", ""};
#elif defined(__aarch64__)
  return {"linux", "arm64", ""};
#else
  #error "say what OCI calls this architecture"
#endif
}

}  // namespace tare::snapshot
