#include "vault/key.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/core.h>

#include "base/hash.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::vault {

namespace {

constexpr std::string_view kIdLabel("tare vault key id 1\0", 20);
constexpr const char* kNewKeyFile = "vault.key.new";

Error wrong_file(std::string_view name, std::string_view fault, std::string_view fix) {
  return Error{Errc::denied, fmt::format("{}: {}; {}", name, fault, fix)};
}

// All of a file that has as many bytes as a key; nothing of it is left anywhere else.
Result<Key> read_key(int fd, std::string_view name, std::string_view fix) {
  const struct stat status = TRY(sys::stat_fd(fd).context(name));
  if (!S_ISREG(status.st_mode)) return wrong_file(name, "it is no regular file", fix);
  if (status.st_size != static_cast<off_t>(kKeyBytes)) {
    return wrong_file(name, fmt::format("it has {} bytes, a key has {}", status.st_size, kKeyBytes),
                      fix);
  }
  Secret bytes = TRY(Secret::of_size(kKeyBytes));
  const std::size_t got = TRY(
      sys::read_at(fd, std::as_writable_bytes(bytes.writable()), 0).context(name));
  if (got != kKeyBytes) return wrong_file(name, "it changed while it was read", fix);
  return Key::of(std::move(bytes));
}

}  // namespace

std::string to_text(const KeyId& id) { return to_hex(id); }

Result<Key> Key::of(Secret bytes) {
  if (bytes.size() != kKeyBytes)
    return Error{Errc::invalid, fmt::format("the vault's key has {} bytes", kKeyBytes)};
  Sha256 hash;
  hash.update(kIdLabel);
  hash.update(bytes.reveal());
  const Sha256Digest digest = hash.finish();
  ::explicit_bzero(static_cast<void*>(&hash), sizeof hash);  // the key was in its last block
  KeyId id{};
  std::copy_n(digest.begin(), id.size(), id.begin());
  return Key(std::move(bytes), id);
}

Result<Key> Key::make(Random& random) {
  Secret bytes = TRY(Secret::of_size(kKeyBytes));
  random.fill(std::as_writable_bytes(bytes.writable()));
  return of(std::move(bytes));
}

// Its mode is not looked at: systemd guards the folder, and shows an ACL as group bits.
Result<std::optional<Key>> read_credential(const char* directory) {
  if (directory == nullptr) return std::optional<Key>();
  const std::string path = fmt::format("{}/{}", directory, kKeyCredential);
  auto file = sys::open_at(sys::kCwd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().sys == ENOENT) return std::optional<Key>();
  const auto fd = TRY(std::move(file));
  return std::optional<Key>(
      TRY(read_key(fd.get(), path, "make one with: head -c 32 /dev/urandom")));
}

Result<std::optional<Key>> read_key_file(int state) {
  constexpr std::string_view kName = "state/vault.key";
  auto file = sys::open_beneath(state, kKeyFile, O_RDONLY | O_NONBLOCK);
  if (!file && file.error().sys == ENOENT) return std::optional<Key>();
  const auto fd = TRY(std::move(file).context(kName));
  const struct stat status = TRY(sys::stat_fd(fd.get()).context(kName));
  if (status.st_uid != ::geteuid()) {
    return wrong_file(kName, fmt::format("it belongs to uid {}", status.st_uid),
                      fmt::format("it must be tared's own: chown it to uid {}", ::geteuid()));
  }
  if ((status.st_mode & 0177) != 0 || (status.st_mode & 07000) != 0) {
    return wrong_file(kName, fmt::format("its mode is {:04o}", status.st_mode & 07777),
                      "others could read the key or run it: if nobody has, chmod it to 0600");
  }
  return std::optional<Key>(
      TRY(read_key(fd.get(), kName, "put it back from a backup of state/vault.key")));
}

Result<Key> make_key_file(int state, Random& random) {
  Key key = TRY(Key::make(random));
  TRY(sys::remove_at(state, kNewKeyFile));  // of one who died here
  {
    const auto file = TRY(
        sys::open_at(state, kNewKeyFile, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    TRY(sys::chmod_fd(file.get(), 0600));
    TRY(sys::write_all(file.get(), key.bytes().reveal()));
    TRY(sys::sync_fd(file.get()));
  }
  // A link replaces nothing: a key that is there stays.
  TRY(sys::make_link_at(state, kNewKeyFile, state, kKeyFile).context("state/vault.key"));
  TRY(sys::remove_at(state, kNewKeyFile));
  TRY(sys::sync_fd(state));
  return key;
}

}  // namespace tare::vault
