#include "model/image_reference.h"

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"

namespace tare::model {

namespace {

constexpr std::string_view kDocker = "docker.io";
constexpr std::string_view kDockerAddress = "registry-1.docker.io";
constexpr std::size_t kMaxTagBytes = 128;

bool is_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_word(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

Error refused(std::string_view text, std::string_view why) {
  return Error{Errc::invalid,
               "image " + quote(text) + ": " + std::string(why) +
                   "; write REGISTRY/NAME:TAG, such as docker.io/alpine:3.20",
               0, "image"};
}

bool is_host(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos;
  const std::string_view name = host.substr(0, colon);
  const bool good = !name.empty() && is_word(name.front()) && is_word(name.back()) &&
                    std::ranges::all_of(name,
                                        [](char c) { return is_word(c) || c == '.' || c == '-'; });
  if (!good || !has_port)
    return good && (name.find('.') != std::string_view::npos || name == "localhost");
  const std::string_view port = host.substr(colon + 1);
  return !port.empty() && port.size() <= 5 &&
         std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_component(std::string_view one) {
  return !one.empty() && is_lower(one.front()) && is_lower(one.back()) &&
         std::ranges::all_of(
             one, [](char c) { return is_lower(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_image_name(std::string_view name) {
  for (;;) {
    const std::size_t slash = name.find('/');
    if (!is_component(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTagBytes && (is_word(tag.front()) || tag[0] == '_') &&
         std::ranges::all_of(tag,
                             [](char c) { return is_word(c) || c == '_' || c == '.' || c == '-'; });
}

}  // namespace

std::string ImageReference::text() const {
  std::string out = host + "/" + name;
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

std::string ImageReference::address() const {
  return host == kDocker ? std::string(kDockerAddress) : host;
}

bool ImageReference::is_loopback() const {
  const std::string_view machine = std::string_view(host).substr(0, host.rfind(':'));
  return machine == "localhost" ||
         (machine.starts_with("127.") && machine.find_first_not_of("0123456789.") == machine.npos);
}

Result<ImageReference> parse_image_reference(std::string_view text) {
  if (text.size() > kMaxImageReferenceBytes) return refused(text, "it is too long");
  ImageReference out;
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || !is_host(text.substr(0, slash)))
    return refused(text, "its registry is not named");
  out.host = text.substr(0, slash);
  std::string_view rest = text.substr(slash + 1);
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    out.digest = rest.substr(at + 1);
    if (!is_digest(out.digest)) return refused(text, "behind @ comes sha256: and 64 hex digits");
    rest = rest.substr(0, at);
  }
  const std::size_t colon = rest.find(':');
  out.name = rest.substr(0, colon);
  if (colon != std::string_view::npos) out.tag = rest.substr(colon + 1);
  if (!is_image_name(out.name)) return refused(text, "its name is not one");
  if (colon != std::string_view::npos && !is_tag(out.tag))
    return refused(text, "its tag is not one");
  if (out.tag.empty() && out.digest.empty()) out.tag = "latest";
  if (out.host == kDocker && out.name.find('/') == std::string::npos)
    out.name = "library/" + out.name;
  return out;
}

}  // namespace tare::model
