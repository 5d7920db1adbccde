// Secret: bytes that must not get about: keys, and the values of the vault. They lie on pages of
// their own, which are locked into memory (never swapped), left out of core dumps, zeros in a
// forked child, and wiped before they are given back.
//
//   const Secret key = TRY(Secret::copy_of(bytes));
//   if (given.equals(key.reveal())) ...
//
// It is printed by nobody: not by fmt, a stream, the log or JSON; reveal() is the one way to the
// bytes, so that `grep reveal` finds every place that has them in its hands. Owner: whoever holds
// it; moving hands over the pages and leaves no copy. Threads: a plain value;
// take_unlocked_notice() any. Errors: Errc::exhausted for more than kMaxSecretBytes, or no memory.
// What never happens: a copy without a name for it (copy_of); a refusal because memory could not be
// locked: then it is used unlocked, and take_unlocked_notice() says so once. Sources: mlock(2),
// madvise(2) MADV_DONTDUMP and MADV_WIPEONFORK, explicit_bzero(3).
#pragma once

#include <cstddef>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace tare {

// What one can hold; a value of the vault has less (model/secret.h), its JSON this much.
inline constexpr std::size_t kMaxSecretBytes = std::size_t{128} << 10;

class [[nodiscard]] Secret {
 public:
  Secret() = default;  // empty; has no pages
  Secret(Secret&& other) noexcept
      : pages_(std::exchange(other.pages_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, 0)) {}
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  static Result<Secret> copy_of(std::string_view bytes);
  // Zeros, to be filled.
  static Result<Secret> of_size(std::size_t bytes);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view reveal() const { return {pages_, size_}; }
  std::span<char> writable() { return {pages_, size_}; }
  // Takes as long whatever the bytes are; only the lengths tell.
  bool equals(std::string_view other) const;
  // Forgets all behind the first `bytes`.
  void shrink(std::size_t bytes);
  // Nothing is left; it is empty.
  void wipe();

  // Whoever would print or compare one does not compile.
  template <class Other>
  bool operator==(const Other&) const = delete;
  friend std::ostream& operator<<(std::ostream&, const Secret&) = delete;

 private:
  char* pages_ = nullptr;
  std::size_t size_ = 0;  // as asked for; the pages are as many as it takes
  std::size_t mapped_ = 0;
};

// True once for this process: memory could not be locked (RLIMIT_MEMLOCK) and may be swapped out.
bool take_unlocked_notice();

// Overwrites the text, unused capacity included, and empties it. What it held before it last grew
// is not reached: reserve first.
void wipe(std::string& text);

// Strict base64 (base64.h), without a copy anywhere else.
Result<Secret> secret_from_base64(std::string_view text);

}  // namespace tare
