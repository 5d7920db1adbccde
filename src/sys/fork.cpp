#include "sys/fork.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace tare::sys {

Result<Child> fork_child() {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error(errno, "fork");
  if (pid == 0) {
    // The parent may have died between fork and prctl: then its signal will never come.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != parent) ::_exit(125);
    return Child();
  }
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    const int error = errno;
    (void)::kill(pid, SIGKILL);  // not reaped yet, so the number is still this child's
    (void)::waitpid(pid, nullptr, 0);
    return sys_error(error, "pidfd_open");
  }
  return Child(pid, UniqueFd(pidfd));
}

Result<> limit_resource(int resource, std::uint64_t value) {
  const rlimit limit = {value, value};
  if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return sys_error(errno, "setrlimit");
  return ok();
}

}  // namespace tare::sys
