#include "base/base64.h"

#include <algorithm>
#include <cstdint>

#include "base/check.h"

namespace tare {
namespace {

constexpr std::string_view
    kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < group.size() ? static_cast<std::uint8_t>(group[k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= group.size() ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

Result<std::size_t> base64_decode_to(std::string_view text, std::span<char> into) {
  const Error wrong{Errc::invalid, "not base64"};
  if (text.size() % 4 != 0) return wrong;
  CHECK(into.size() >= text.size() / 4 * 3);
  std::size_t size = 0;
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t bits = 0;
    std::size_t digits = 0;
    for (; digits < 4 && text[i + digits] != '='; ++digits) {
      const auto value = kAlphabet.find(text[i + digits]);
      if (value == std::string_view::npos) return wrong;
      bits |= static_cast<std::uint32_t>(value) << (18 - 6 * digits);
    }
    const bool last = i + 4 == text.size();
    if (digits < 2 || (digits < 4 && !last) || (digits == 2 && text[i + 3] != '=')) return wrong;
    if ((digits == 2 && (bits & 0xffff) != 0) || (digits == 3 && (bits & 0xff) != 0)) return wrong;
    for (std::size_t k = 0; k + 1 < digits; ++k)
      into[size++] = static_cast<char>(bits >> (16 - 8 * k) & 0xff);
  }
  return size;
}

Result<std::string> base64_decode(std::string_view text) {
  std::string out(text.size() / 4 * 3, '\0');
  out.resize(TRY(base64_decode_to(text, out)));
  return out;
}

std::string base64url_encode(std::string_view bytes) {
  std::string out = base64_encode(bytes);
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  while (!out.empty() && out.back() == '=') out.pop_back();
  return out;
}

Result<std::string> base64url_decode(std::string_view text) {
  const Error wrong{Errc::invalid, "not base64url without padding"};
  if (text.find_first_of("+/=") != std::string_view::npos) return wrong;
  std::string plain(text);
  std::replace(plain.begin(), plain.end(), '-', '+');
  std::replace(plain.begin(), plain.end(), '_', '/');
  plain.append((4 - plain.size() % 4) % 4, '=');
  auto decoded = base64_decode(plain);
  return decoded ? std::move(decoded) : wrong;
}

}  // namespace tare
