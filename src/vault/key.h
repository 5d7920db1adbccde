// The vault's key: 32 random bytes, from a file of tared's or a systemd credential, and an id by
// which a row says which key it was sealed with.
//
// Owner: tared. Threads: plain values; the functions are stateless and block for one small file.
// Errors: Errc::denied, invalid naming the file, its fault and the fix; never a byte of a key. What
// never happens: a key file is replaced, or one that others may read is used; a key is made where
// there is one. Sources: systemd.exec(5) "Credentials"; NIST SP 800-108 for the labelled id.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace tare::vault {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kKeyIdBytes = 8;
inline constexpr const char* kKeyFile = "vault.key";             // in $TARE_HOME/state
inline constexpr const char* kKeyCredential = "tare-vault-key";  // in $CREDENTIALS_DIRECTORY

// The first bytes of SHA-256(a label, the key): tells keys apart and nothing about them.
using KeyId = std::array<std::uint8_t, kKeyIdBytes>;
std::string to_text(const KeyId& id);

class Key {
 public:
  // Errc::invalid unless it has kKeyBytes.
  static Result<Key> of(Secret bytes);
  static Result<Key> make(Random& random);

  const Secret& bytes() const { return bytes_; }
  const KeyId& id() const { return id_; }

 private:
  Key(Secret bytes, KeyId id) : bytes_(std::move(bytes)), id_(id) {}
  Secret bytes_;
  KeyId id_;
};

// `directory`: the value of $CREDENTIALS_DIRECTORY, nullptr when there is none. nullopt: no such
// credential. Call it before privileges are given up: systemd shows it to who was started alone.
Result<std::optional<Key>> read_credential(const char* directory);
// nullopt: there is no such file.
Result<std::optional<Key>> read_key_file(int state);
// Whole and on the disk when this returns, or not there.
Result<Key> make_key_file(int state, Random& random);

}  // namespace tare::vault
