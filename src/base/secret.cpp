#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include <fmt/core.h>

#include "base/base64.h"
#include "base/check.h"

namespace tare {

namespace {

enum class Locked : int { all, not_all, told };
std::atomic<Locked> locked{Locked::all};

std::size_t whole_pages(std::size_t bytes) {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

Result<Secret> Secret::of_size(std::size_t bytes) {
  if (bytes > kMaxSecretBytes)
    return Error{Errc::exhausted, fmt::format("a secret has at most {} bytes", kMaxSecretBytes)};
  Secret secret;
  if (bytes == 0) return secret;
  const std::size_t mapped = whole_pages(bytes);
  void* pages = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return sys_error(errno, "mmap for a secret");
  secret.pages_ = static_cast<char*>(pages);
  secret.size_ = bytes;
  secret.mapped_ = mapped;
  // Both are known to every kernel that Tare runs on.
  CHECK(::madvise(pages, mapped, MADV_DONTDUMP) == 0);
  CHECK(::madvise(pages, mapped, MADV_WIPEONFORK) == 0);
  if (::mlock(pages, mapped) != 0) {
    Locked before = Locked::all;
    locked.compare_exchange_strong(before, Locked::not_all);
  }
  return secret;
}

Result<Secret> Secret::copy_of(std::string_view bytes) {
  Secret secret = TRY(of_size(bytes.size()));
  if (!bytes.empty()) ::memcpy(secret.pages_, bytes.data(), bytes.size());
  return secret;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  pages_ = std::exchange(other.pages_, nullptr);
  size_ = std::exchange(other.size_, 0);
  mapped_ = std::exchange(other.mapped_, 0);
  return *this;
}

bool Secret::equals(std::string_view other) const {
  if (other.size() != size_) return false;
  // Volatile: no optimiser may leave early at the first difference.
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < size_; ++i)
    difference = static_cast<unsigned char>(difference | (pages_[i] ^ other[i]));
  return difference == 0;
}

void Secret::shrink(std::size_t bytes) {
  CHECK(bytes <= size_);
  if (bytes == 0) return wipe();
  ::explicit_bzero(pages_ + bytes, size_ - bytes);
  size_ = bytes;
}

void Secret::wipe() {
  if (pages_ == nullptr) return;
  ::explicit_bzero(pages_, mapped_);
  CHECK(::munmap(pages_, mapped_) == 0);
  pages_ = nullptr;
  size_ = mapped_ = 0;
}

bool take_unlocked_notice() {
  Locked before = Locked::not_all;
  return locked.compare_exchange_strong(before, Locked::told);
}

void wipe(std::string& text) {
  text.resize(text.capacity());
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

Result<Secret> secret_from_base64(std::string_view text) {
  Secret secret = TRY(Secret::of_size(text.size() / 4 * 3));
  secret.shrink(TRY(base64_decode_to(text, secret.writable())));
  return secret;
}

}  // namespace tare
