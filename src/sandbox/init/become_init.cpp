#include "sandbox/init/become_init.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/launch/report.h"

namespace tare::sandbox {

// The only code between clone3 and exec. Async-signal-safe: raw system calls, no allocation, no
// logging. Waits until its ids are mapped and its cgroups attached, becomes root inside, and
// executes tare-init.
void become_init(int control, int others_end, int init, int null) {
  // Should the launcher die now, the read must see its end closed: this copy would keep it open for
  // ever.
  ::close(others_end);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  char byte = 0;
  if (::read(control, &byte, 1) != 1 || byte != kGoByte) ::_exit(1);
  if (::syscall(SYS_setresgid, 0, 0, 0) != 0 || ::syscall(SYS_setresuid, 0, 0, 0) != 0) ::_exit(1);
  for (int i = 0; i < 3; ++i) {
    if (::dup2(null, i) < 0) ::_exit(1);
  }
  // `control` may be above kControlFd or be it; `init` is moved out of the way of it first.
  const int program = ::fcntl(init, F_DUPFD_CLOEXEC, kControlFd + 1);
  if (program < 0 || ::dup2(control, kControlFd) < 0) ::_exit(1);
  if (::fcntl(kControlFd, F_SETFD, 0) != 0) ::_exit(1);
  ::syscall(SYS_close_range, kControlFd + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  char name[] = "tare-init";
  char* const argv[] = {name, nullptr};
  char* const env[] = {nullptr};
  ::syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
  ::_exit(1);
}

}  // namespace tare::sandbox
