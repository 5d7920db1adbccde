#include "vault/cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include <memory>

#include <fmt/core.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/wire.h"

namespace tare::vault {

namespace {

// Freeing it wipes the expanded key.
using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* data_of(std::span<char> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}
int size_of(std::string_view bytes) {
  CHECK(bytes.size() <= kMaxJsonBodyBytes);
  return static_cast<int>(bytes.size());
}

// With key, nonce and associated data in.
Context begin(const GcmInput& input, bool encrypt) {
  // The cipher is built in: no configuration of the host's, and no module it names, has a say.
  static const bool ready = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1;
  CHECK(ready && input.key.size() == kKeyBytes && input.nonce.size() == kNonceBytes);
  Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  CHECK(context != nullptr);
  CHECK(EVP_CipherInit_ex2(context.get(), EVP_aes_256_gcm(), data_of(input.key),
                           data_of(input.nonce), encrypt ? 1 : 0, nullptr) == 1);
  int done = 0;
  if (!input.associated.empty()) {
    CHECK(EVP_CipherUpdate(context.get(), nullptr, &done, data_of(input.associated),
                           size_of(input.associated)) == 1);
  }
  return context;
}

void pass(EVP_CIPHER_CTX* context, std::string_view text, std::span<char> out) {
  CHECK(out.size() == text.size());
  if (text.empty()) return;
  int done = 0;
  CHECK(EVP_CipherUpdate(context, data_of(out), &done, data_of(text), size_of(text)) == 1);
  CHECK(done == size_of(text));
}

std::string associated(const Place& place) {
  WireWriter w;
  w.text("label", "tare.secret", 16);
  w.u8(kFormat);
  w.text("tenant", place.tenant, kMaxJsonBodyBytes);
  w.text("name", place.name, kMaxJsonBodyBytes);
  w.u64(place.version);
  return w.finish().value();
}

}  // namespace

void gcm_encrypt(const GcmInput& input, std::span<char> out, std::span<char, kTagBytes> tag) {
  const Context context = begin(input, true);
  pass(context.get(), input.text, out);
  int done = 0;
  unsigned char none[1];
  CHECK(EVP_EncryptFinal_ex(context.get(), none, &done) == 1 && done == 0);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()) == 1);
}

bool gcm_decrypt(const GcmInput& input, std::string_view tag, std::span<char> out) {
  CHECK(tag.size() == kTagBytes);
  const Context context = begin(input, false);
  pass(context.get(), input.text, out);
  std::string wanted(tag);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, wanted.data()) == 1);
  int done = 0;
  unsigned char none[1];
  if (EVP_DecryptFinal_ex(context.get(), none, &done) == 1) return true;
  if (!out.empty()) ::explicit_bzero(out.data(), out.size());
  return false;
}

Result<Sealed> parse_sealed(std::string_view bytes) {
  const auto wrong = [](std::string why) { return Error{Errc::invalid, "sealed value: " + why}; };
  if (bytes.empty()) return wrong("it is empty");
  const auto format = static_cast<std::uint8_t>(bytes[0]);
  if (format != kFormat) {
    return wrong(fmt::format("format {} is not {}, the one this program knows", format, kFormat));
  }
  if (bytes.size() <= kSealedOverhead || bytes.size() > kMaxSealedBytes)
    return wrong(fmt::format("{} bytes cannot be one", bytes.size()));
  Sealed sealed;
  bytes.remove_prefix(1);
  ::memcpy(sealed.key.data(), bytes.data(), kKeyIdBytes);
  bytes.remove_prefix(kKeyIdBytes);
  sealed.nonce = bytes.substr(0, kNonceBytes);
  sealed.ciphertext = bytes.substr(kNonceBytes, bytes.size() - kNonceBytes - kTagBytes);
  sealed.tag = bytes.substr(bytes.size() - kTagBytes);
  return sealed;
}

Result<> check_value(const Secret& value) {
  if (!value.empty() && value.size() <= kMaxValueBytes) return ok();
  return Error{Errc::invalid, fmt::format("a secret has 1 to {} bytes", kMaxValueBytes), 0,
               "value"};
}

Result<std::string> seal(const Key& key, const Place& place, const Secret& value, Random& random) {
  TRY(check_value(value));
  std::string sealed(kSealedOverhead + value.size(), '\0');
  const std::span<char> all(sealed);
  all[0] = static_cast<char>(kFormat);
  ::memcpy(&all[1], key.id().data(), kKeyIdBytes);
  const auto nonce = all.subspan(1 + kKeyIdBytes, kNonceBytes);
  random.fill(std::as_writable_bytes(nonce));
  gcm_encrypt({key.bytes().reveal(), std::string_view(nonce.data(), nonce.size()),
               associated(place), value.reveal()},
              all.subspan(1 + kKeyIdBytes + kNonceBytes, value.size()), all.last<kTagBytes>());
  return sealed;
}

Result<Secret> open(const Key& key, const Place& place, std::string_view sealed) {
  const auto parsed = parse_sealed(sealed);
  if (!parsed) return Error{Errc::internal, parsed.error().message};
  const Sealed& parts = *parsed;
  if (parts.key != key.id()) {
    return Error{Errc::denied,
                 fmt::format("it was sealed with another key ({}) than the one there is ({})",
                             to_text(parts.key), to_text(key.id()))};
  }
  Secret value = TRY(Secret::of_size(parts.ciphertext.size()));
  const bool same = gcm_decrypt(
      {key.bytes().reveal(), parts.nonce, associated(place), parts.ciphertext}, parts.tag,
      value.writable());
  if (same) return value;
  return Error{Errc::internal,
               fmt::format("the row of {} was changed by something else than Tare, or is damaged",
                           quote(place.name))};
}

}  // namespace tare::vault
