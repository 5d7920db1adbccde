// NewFile: a file that appears in a folder by rename, whole or not at all. Until commit() it is
// there under a temporary name; what was not committed is gone again. Long runs of zeros take no
// space: a sandbox can make a file of terabytes that has nothing in it.
//
// Owner: one command; threads: one. Errors begin with what the caller calls the file.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "sys/fd.h"

namespace tare::cli {

inline constexpr unsigned kPermissionBits = 0777;  // no setuid, setgid or sticky bit is ever set

// ".tare-0123456789abcdef"
std::string temporary_name(Random& random);

class NewFile {
 public:
  // `name` is that of commit(), in `parent`; errors begin with `shown`.
  static Result<NewFile> make(sys::UniqueFd parent, std::string name, std::string shown,
                              Random& random);
  NewFile(NewFile&& other) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  Result<> write(std::string_view bytes);
  enum class Existing : std::uint8_t { refuse, replace };
  // It has its name from now on, and may be read by its owner. Errc::conflict: `refuse`, and there
  // is something of that name.
  Result<> commit(unsigned mode, Existing existing = Existing::replace);

 private:
  NewFile(sys::UniqueFd parent, std::string name, std::string shown)
      : parent_(std::move(parent)), name_(std::move(name)), shown_(std::move(shown)) {}
  sys::UniqueFd parent_, fd_;
  std::string temporary_ = {};  // "" once committed, or moved away
  std::string name_, shown_;
};

}  // namespace tare::cli
