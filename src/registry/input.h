// Our stdin, read from its beginning to its end: a line first, then an archive. Blocks. Errors:
// Errc::invalid when it ends early, or the line is too long. Threads: one.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace tare::registry {

class Input {
 public:
  explicit Input(int fd) : fd_(fd) {}
  // Without its newline; exactly what comes behind it is read next.
  Result<std::string> read_line(std::size_t max_bytes);
  // 0 at the end.
  Result<std::size_t> read_some(std::span<char> into);
  Result<std::string> read_exactly(std::size_t bytes);

 private:
  int fd_;
};

}  // namespace tare::registry
