#include "sys/no_echo.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sys/retry.h"

namespace tare::sys {

Result<NoEcho> NoEcho::enter(int fd) {
  termios before = {};
  if (::tcgetattr(fd, &before) != 0) return sys_error(errno, "tcgetattr");
  termios quiet = before;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
  quiet.c_lflag |= ICANON | ISIG;
  quiet.c_cc[VSUSP] = quiet.c_cc[VQUIT] = _POSIX_VDISABLE;
  if (retry([&] { return ::tcsetattr(fd, TCSAFLUSH, &quiet); }) != 0)
    return sys_error(errno, "tcsetattr");
  return NoEcho(fd, before);
}

NoEcho::NoEcho(NoEcho&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}

void NoEcho::restore() {
  const int fd = std::exchange(fd_, -1);
  if (fd >= 0) (void)retry([&] { return ::tcsetattr(fd, TCSADRAIN, &before_); });
}

}  // namespace tare::sys
