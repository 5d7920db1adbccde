// Terminals: size, and the modes of our own. Source: ioctl_tty(2), termios(3). Threads: stateless.
#pragma once

#include <termios.h>

#include <cstddef>
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

// What a terminal passes on of one line, its end included (N_TTY_BUF_SIZE of the kernel): what is
// typed or pasted beyond is lost.
inline constexpr std::size_t kMaxTerminalLineBytes = 4096;

// A terminal that is another one while this lives. The destructor, or restore(), makes it what it
// was; who may die of a signal must catch it and restore first.
class [[nodiscard]] TerminalMode {
 public:
  // Every byte is passed on as it was typed.
  static Result<TerminalMode> raw(int fd);
  // What is typed is not shown: for secrets. Lines are still edited as always, and Ctrl-C is still
  // a signal; suspending (Ctrl-Z) and dumping core (Ctrl-\) are off. What was typed before is
  // dropped: it was shown.
  static Result<TerminalMode> no_echo(int fd);
  TerminalMode(TerminalMode&& other) noexcept;
  TerminalMode& operator=(TerminalMode&&) = delete;
  ~TerminalMode() { restore(); }
  void restore();

 private:
  TerminalMode(int fd, const termios& before) : fd_(fd), before_(before) {}
  template <class Change>
  static Result<TerminalMode> enter(int fd, int when, Change change);
  int fd_;  // -1: restored
  termios before_;
};

}  // namespace tare::sys
