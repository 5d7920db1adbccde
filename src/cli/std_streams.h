// Our own stdin, stdout and stderr, byte-exact, seen from a fiber: a reader that is slow, or has
// gone, holds up nobody else (Ctrl-C is still answered). The descriptors themselves are left as
// they are: O_NONBLOCK would be seen by every process that shares them, such as the shell.
//
// Errors: Errc::unavailable with sys == EPIPE when nobody reads any more (SIGPIPE must be ignored,
// see main); Errc::cancelled, Errc::timeout. Owner: one command; loop thread only.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"
#include "fiber/context.h"
#include "sys/fd.h"

namespace tare::cli {

class StdOutput {
 public:
  explicit StdOutput(int fd);  // 1 or 2; borrowed
  Result<> write(std::string_view bytes, const fiber::Context& ctx);

 private:
  // How to write without blocking the thread.
  enum class Kind : std::uint8_t {
    direct,    // regular files: never block for long
    reopened,  // pipes and terminals: a file description of our own, non-blocking
    socket,    // MSG_DONTWAIT
    careful,   // could not be reopened: after poll, no more than a pipe always takes
  };
  Result<std::size_t> write_some(std::string_view bytes);  // sys == EAGAIN: wait and try again

  int fd_;
  Kind kind_ = Kind::direct;
  sys::UniqueFd own_;
};

class StdInput {
 public:
  explicit StdInput(int fd) : fd_(fd) {}
  // 0 is the end.
  Result<std::size_t> read_some(std::span<char> into, const fiber::Context& ctx);

 private:
  int fd_;
};

}  // namespace tare::cli
