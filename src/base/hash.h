// SHA-256, HMAC with it, hexadecimal, and the text of a digest: "sha256:" and 64 lower-case hex
// digits.
//
// Threads: a Sha256 belongs to one; the functions are pure. Errors: only parsing can fail
// (Errc::invalid). Source: FIPS 180-4, through OpenSSL's SHA256_ functions: its EVP
// interface brings all of the library with it, whose relocation takes longer than a `tare ps`.
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare {

using Sha256Digest = std::array<std::uint8_t, 32>;

// Feed with update() any number of times, then finish() once.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> data);
  void update(std::string_view data);
  Sha256Digest finish();

 private:
  SHA256_CTX state_;
};

Sha256Digest sha256(std::string_view data);
// RFC 2104: who has no key learns nothing of the data.
Sha256Digest hmac_sha256(std::string_view key, std::string_view data);

std::string to_hex(std::span<const std::uint8_t> bytes);

// "sha256:<64 hex>".
inline constexpr std::size_t kDigestTextBytes = 71;
std::string digest_text(const Sha256Digest& digest);
// digest_text(sha256(data)).
std::string sha256_text(std::string_view data);

Result<Sha256Digest> parse_digest(std::string_view text);
bool is_digest(std::string_view text);

}  // namespace tare
