#include "fiber/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "fiber/wait.h"

namespace tare::fiber {

Result<Signals> Signals::block(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return sys_error(error, "pthread_sigmask");
  }
  sys::UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return sys_error(errno, "signalfd");
  return Signals(std::move(fd));
}

Result<int> Signals::wait(const Context& ctx) {
  for (;;) {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      return static_cast<int>(info.ssi_signo);
    }
    if (errno != EAGAIN && errno != EINTR) return sys_error(errno, "read signalfd");
    TRY(wait_readable(fd_.get(), ctx));
  }
}

}  // namespace tare::fiber
