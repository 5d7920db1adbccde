// Stream: bytes in both directions, as a fiber sees them. Sockets implement it; so do test doubles
// that fail on purpose, and TLS later. Loop thread only; at most one fiber reads and one writes at
// a time.
//
// Errors: Errc::cancelled, Errc::timeout from the Context; Errc::unavailable when the other side is
// gone. After an error in a write it is not known how much was written: close the stream.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"
#include "fiber/context.h"

namespace tare::fiber {

class Stream {
 public:
  virtual ~Stream() = default;

  // Waits for at least one byte and returns how many were read; 0 means the other side has ended
  // its sending. `buffer` must not be empty.
  virtual Result<std::size_t> read_some(std::span<char> buffer, const Context& ctx) = 0;

  // Writes all parts, in order, with one system call where possible.
  virtual Result<> write_parts(std::span<const std::string_view> parts, const Context& ctx) = 0;
  Result<> write_all(std::string_view bytes, const Context& ctx) {
    return write_parts(std::span(&bytes, 1), ctx);
  }

  // Tells the other side that no more bytes come; reading goes on.
  virtual Result<> shutdown_write() = 0;

  // Ends both directions at once; a fiber that waits on the stream gets Errc::cancelled. May be
  // repeated.
  virtual void close() = 0;
};

}  // namespace tare::fiber
