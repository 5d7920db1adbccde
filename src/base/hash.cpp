// Deprecated in OpenSSL 3 for EVP; hash.h says why not.
#define OPENSSL_API_COMPAT 0x10100000L
#include "base/hash.h"

#include <fmt/core.h>

#include "base/check.h"
#include "base/text.h"

namespace tare {

namespace {

constexpr std::string_view kPrefix = "sha256:";
static_assert(kDigestTextBytes == kPrefix.size() + 2 * sizeof(Sha256Digest));

// -1 for anything but a lower-case hex digit: a digest has one spelling only.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Sha256::Sha256() { CHECK(SHA256_Init(&state_) == 1); }

void Sha256::update(std::span<const std::byte> data) {
  CHECK(SHA256_Update(&state_, data.data(), data.size()) == 1);
}

void Sha256::update(std::string_view data) { update(std::as_bytes(std::span(data))); }

Sha256Digest Sha256::finish() {
  Sha256Digest out{};
  CHECK(SHA256_Final(out.data(), &state_) == 1);
  return out;
}

Sha256Digest sha256(std::string_view data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

Sha256Digest hmac_sha256(std::string_view key, std::string_view data) {
  constexpr std::size_t kBlockBytes = 64;
  std::array<std::uint8_t, kBlockBytes> block{};
  const auto as_text = [](const auto& bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const Sha256Digest hashed = key.size() > kBlockBytes ? sha256(key) : Sha256Digest{};
  const std::string_view used = key.size() > kBlockBytes ? as_text(hashed) : key;
  for (std::size_t i = 0; i < used.size(); ++i) block[i] = static_cast<std::uint8_t>(used[i]);
  Sha256 inner, outer;
  for (std::uint8_t& byte : block) byte ^= 0x36U;
  inner.update(as_text(block));
  inner.update(data);
  for (std::uint8_t& byte : block) byte ^= 0x36U ^ 0x5cU;
  outer.update(as_text(block));
  outer.update(as_text(inner.finish()));
  return outer.finish();
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out += kHex[byte >> 4U];
    out += kHex[byte & 0xFU];
  }
  return out;
}

std::string digest_text(const Sha256Digest& digest) {
  return std::string(kPrefix) + to_hex(digest);
}

std::string sha256_text(std::string_view data) { return digest_text(sha256(data)); }

Result<Sha256Digest> parse_digest(std::string_view text) {
  const auto refused = [&] {
    return Error{Errc::invalid,
                 fmt::format("{} is not a digest: expected sha256: and 64 lower-case "
                             "hexadecimal digits",
                             quote(text))};
  };
  Sha256Digest out{};
  if (!text.starts_with(kPrefix) || text.size() != kDigestTextBytes) return refused();
  const std::string_view hex = text.substr(kPrefix.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return refused();
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return out;
}

bool is_digest(std::string_view text) { return parse_digest(text).ok(); }

}  // namespace tare
