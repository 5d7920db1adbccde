#include "sys/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sys/retry.h"

namespace tare::sys {

Result<> set_terminal_size(int fd, std::uint16_t rows, std::uint16_t columns) {
  winsize size = {};
  size.ws_row = rows;
  size.ws_col = columns;
  if (::ioctl(fd, TIOCSWINSZ, &size) != 0) return sys_error(errno, "TIOCSWINSZ");
  return ok();
}

std::optional<TerminalSize> terminal_size(int fd) {
  winsize size = {};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
    return std::nullopt;
  return TerminalSize{size.ws_row, size.ws_col};
}

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

template <class Change>
Result<TerminalMode> TerminalMode::enter(int fd, int when, Change change) {
  termios before = {};
  if (::tcgetattr(fd, &before) != 0) return sys_error(errno, "tcgetattr");
  termios changed = before;
  change(changed);
  if (retry([&] { return ::tcsetattr(fd, when, &changed); }) != 0)
    return sys_error(errno, "tcsetattr");
  return TerminalMode(fd, before);
}

Result<TerminalMode> TerminalMode::raw(int fd) {
  return enter(fd, TCSADRAIN, [](termios& mode) { ::cfmakeraw(&mode); });
}

Result<TerminalMode> TerminalMode::no_echo(int fd) {
  return enter(fd, TCSAFLUSH, [](termios& mode) {
    mode.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
    mode.c_lflag |= ICANON | ISIG;
    mode.c_cc[VSUSP] = mode.c_cc[VQUIT] = _POSIX_VDISABLE;
  });
}

TerminalMode::TerminalMode(TerminalMode&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}

void TerminalMode::restore() {
  const int fd = std::exchange(fd_, -1);
  if (fd >= 0) (void)retry([&] { return ::tcsetattr(fd, TCSADRAIN, &before_); });
}

}  // namespace tare::sys
