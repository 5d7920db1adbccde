// Terminals: size, and the raw mode of our own. Source: ioctl_tty(2), termios(3). Threads:
// stateless.
#pragma once

#include <termios.h>

#include <cstdint>
#include <optional>

#include "base/result.h"

namespace tare::sys {

struct TerminalSize {
  std::uint16_t rows = 0, columns = 0;
};

// Who has it as controlling terminal gets SIGWINCH.
Result<> set_terminal_size(int fd, std::uint16_t rows, std::uint16_t columns);
// nullopt: it is none, or does not know.
std::optional<TerminalSize> terminal_size(int fd);
bool is_terminal(int fd);

// While it lives the terminal passes every byte on as it was typed. The destructor, or restore(),
// makes it what it was.
class [[nodiscard]] RawMode {
 public:
  static Result<RawMode> enter(int fd);
  RawMode(RawMode&& other) noexcept;
  RawMode& operator=(RawMode&&) = delete;
  ~RawMode() { restore(); }
  void restore();

 private:
  RawMode(int fd, const termios& before) : fd_(fd), before_(before) {}
  int fd_;  // -1: restored
  termios before_;
};

}  // namespace tare::sys
