// How a value lies on the disk: sealed with AES-256-GCM, bound to the secret it belongs to.
//
//   sealed = format (1 byte, 1) | id of the key (8) | nonce (12) | ciphertext | tag (16)
//   associated data = "tare.secret", the format, tenant, name, version (base/wire.h: unambiguous)
//
// So a row that was edited, cut, or put in another one's place does not open. An older copy of the
// same row, with its version, does: who can write the database can put back what it had.
//
// Owner: whoever calls. Threads: pure, but for Random. Errors: Errc::invalid for a value or bytes
// that cannot be one, denied for another key, internal for what does not open; none says anything
// of a value. What never happens: one nonce of the vault's key is drawn by anything but Random (96
// bits: 2^32 values before one in 2^32 keys repeats one); a part of a value that did not open
// whole. Sources: NIST SP 800-38D; OpenSSL EVP_EncryptInit(3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "vault/key.h"

namespace tare::vault {

inline constexpr std::size_t kMaxValueBytes = std::size_t{64} << 10;
inline constexpr std::size_t kNonceBytes = 12, kTagBytes = 16;
inline constexpr std::size_t kSealedOverhead = 1 + kKeyIdBytes + kNonceBytes + kTagBytes;
inline constexpr std::size_t kMaxSealedBytes = kMaxValueBytes + kSealedOverhead;
inline constexpr std::uint8_t kFormat = 1;

// What a value is bound to.
struct Place {
  std::string_view tenant, name;
  std::uint64_t version = 0;
};

// Its parts; views of the bytes it was parsed from.
struct Sealed {
  KeyId key{};
  std::string_view nonce, ciphertext, tag;
};
Result<Sealed> parse_sealed(std::string_view bytes);

Result<> check_value(const Secret& value);  // 1 to kMaxValueBytes
Result<std::string> seal(const Key& key, const Place& place, const Secret& value, Random& random);
Result<Secret> open(const Key& key, const Place& place, std::string_view sealed);

// The cipher alone. `out` gets as many bytes as there are in the text, the tag apart.
struct GcmInput {
  std::string_view key, nonce, associated, text;
};
void gcm_encrypt(const GcmInput& input, std::span<char> out, std::span<char, kTagBytes> tag);
// False: the tag is not that of these bytes; `out` is zeros then.
bool gcm_decrypt(const GcmInput& input, std::string_view tag, std::span<char> out);

}  // namespace tare::vault
