// A secret of the vault as it is kept: sealed (src/vault/cipher.h), and what may be told of it. Its
// value is in none of these.
#pragma once

#include <cstdint>
#include <string>

namespace tare::model {

inline constexpr std::size_t kMaxSecrets = 256;  // of a tenant: every freeze looks for each
// 64 KiB of value and what sealing adds.
inline constexpr std::size_t kMaxSealedBytes = (std::size_t{64} << 10) + 64;

struct SealedSecret {
  std::string tenant, name;
  std::uint64_t version = 0;  // from 1; each rotation is the next
  std::uint64_t created_ms = 0, rotated_ms = 0;
  std::string sealed;  // bytes

  friend bool operator==(const SealedSecret&, const SealedSecret&) = default;
};

}  // namespace tare::model
