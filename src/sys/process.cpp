#include "sys/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <fmt/core.h>

#include "sys/files.h"
#include "sys/retry.h"

namespace tare::sys {

namespace {

long wait_pidfd(int pidfd, siginfo_t* info, int options, rusage* usage) {
  return retry([&] { return ::syscall(SYS_waitid, P_PIDFD, pidfd, info, options, usage); });
}

ExitStatus status_of(const siginfo_t& info) {
  return ExitStatus{info.si_code != CLD_EXITED, info.si_status};
}

}  // namespace

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    Child old(std::exchange(pid_, std::exchange(other.pid_, 0)), std::move(pidfd_));
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Child::~Child() {
  if (!valid()) return;
  (void)signal(SIGKILL);
  (void)wait(nullptr);
}

Result<> signal_process(int pidfd, int number) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0) != 0) {
    return sys_error(errno, "pidfd_send_signal");
  }
  return ok();
}

Result<> Child::signal(int number) const { return signal_process(pidfd_.get(), number); }

Result<std::optional<ExitStatus>> Child::peek() const {
  siginfo_t info = {};
  if (wait_pidfd(pidfd_.get(), &info, WEXITED | WNOHANG | WNOWAIT, nullptr) != 0) {
    return sys_error(errno, "waitid");
  }
  if (info.si_pid == 0) return std::optional<ExitStatus>();
  return std::optional<ExitStatus>(status_of(info));
}

Result<ExitStatus> Child::wait(rusage* usage) {
  siginfo_t info = {};
  if (wait_pidfd(pidfd_.get(), &info, WEXITED | __WALL, usage) != 0)
    return sys_error(errno, "waitid");
  pid_ = 0;
  pidfd_.reset();
  return status_of(info);
}

Result<> signal_number(pid_t pid, int number) {
  if (pid <= 1 || ::kill(pid, number) == 0 || errno == ESRCH) return ok();
  return sys_error(errno, "signal process " + std::to_string(pid));
}

void pause_ms(int ms) { (void)::poll(nullptr, 0, ms); }

namespace {

Result<ForeignChild> clone_any(std::uint64_t flags, int cgroup) {
  int pidfd = -1;
  clone_args args = {};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  // With CLONE_PARENT the kernel wants none: the signal is what the caller's own end sends.
  if ((flags & CLONE_PARENT) == 0) args.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return sys_error(errno, "clone3");
  return ForeignChild{static_cast<pid_t>(pid), UniqueFd(pid == 0 ? -1 : pidfd)};
}

}  // namespace

Result<Child> clone_child(std::uint64_t flags, int cgroup) {
  ForeignChild made = TRY(clone_any(flags, cgroup));
  return made.pid == 0 ? Child() : Child(made.pid, std::move(made.pidfd));
}

Result<ForeignChild> clone_sibling(std::uint64_t flags, int cgroup) {
  return clone_any(flags | CLONE_PARENT, cgroup);
}

Result<> set_priority(pid_t pid, int nice) {
  if (::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), nice) < 0)
    return sys_error(errno, "setpriority");
  const auto path = fmt::format("/proc/{}/autogroup", pid);
  const UniqueFd group(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!group.valid() && errno == ENOENT) return ok();  // a kernel without it
  if (!group.valid()) return sys_error(errno, "open " + path);
  return write_all(group.get(), std::to_string(nice));
}

}  // namespace tare::sys
