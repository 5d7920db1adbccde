// A terminal that does not show what is typed: for secrets. Lines are still edited as always, and
// Ctrl-C is still a signal; suspending (Ctrl-Z) and dumping core (Ctrl-\) are off meanwhile. The
// destructor, or restore(), makes the terminal what it was. Who may die of a signal must catch it
// and restore first. Source: termios(3). Threads: stateless.
#pragma once

#include <termios.h>

#include "base/result.h"

namespace tare::sys {

// What a terminal passes on of one line, its end included (N_TTY_BUF_SIZE of the kernel): what is
// typed or pasted beyond is lost.
inline constexpr std::size_t kMaxTerminalLineBytes = 4096;

class [[nodiscard]] NoEcho {
 public:
  // What was typed before is dropped: it was shown.
  static Result<NoEcho> enter(int fd);
  NoEcho(NoEcho&& other) noexcept;
  NoEcho& operator=(NoEcho&&) = delete;
  ~NoEcho() { restore(); }
  void restore();

 private:
  NoEcho(int fd, const termios& before) : fd_(fd), before_(before) {}
  int fd_;  // -1: restored
  termios before_;
};

}  // namespace tare::sys
