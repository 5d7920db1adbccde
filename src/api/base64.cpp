#include "api/base64.h"

#include <cstdint>

namespace tare::api {

namespace {
constexpr std::string_view
    kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
}

std::string to_base64url(std::string_view bytes) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = bits << 8U | static_cast<unsigned char>(c);
    for (held += 8; held >= 6; held -= 6)
      out += kAlphabet[bits >> static_cast<unsigned>(held - 6) & 63U];
  }
  if (held > 0) out += kAlphabet[bits << static_cast<unsigned>(6 - held) & 63U];
  return out;
}

Result<std::string> from_base64url(std::string_view text) {
  const Error wrong{Errc::invalid, "not base64url without padding"};
  if (text.size() % 4 == 1) return wrong;
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return wrong;
    bits = bits << 6U | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> static_cast<unsigned>(held) & 255U);
  }
  // What is left over must be zero: one text for one value.
  if ((bits & ((1U << static_cast<unsigned>(held)) - 1U)) != 0) return wrong;
  return out;
}

}  // namespace tare::api
