#include "sys/fork.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <vector>

#include "sys/retry.h"

namespace tare::sys {

namespace {

// In the child, before anything else: until the parent has a hold on it.
void wait_for(pid_t parent, const UniqueFd& held) {
  // The parent may have died between fork and prctl: then its signal will never come.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != parent) ::_exit(125);
  std::uint64_t count = 0;
  if (retry([&] { return ::read(held.get(), &count, sizeof count); }) != sizeof count) ::_exit(125);
}

Result<UniqueFd> take_hold(pid_t child, const UniqueFd& held) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!pidfd.valid()) return sys_error(errno, "pidfd_open");
  const std::uint64_t one = 1;
  if (::write(held.get(), &one, sizeof one) != sizeof one) return sys_error(errno, "let it go on");
  return pidfd;
}

}  // namespace

Result<Child> fork_child() {
  const UniqueFd held(::eventfd(0, EFD_CLOEXEC));
  if (!held.valid()) return sys_error(errno, "eventfd");
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error(errno, "fork");
  if (pid == 0) {
    wait_for(parent, held);
    return Child();
  }
  auto pidfd = take_hold(pid, held);
  if (pidfd) return Child(pid, std::move(*pidfd));
  (void)::kill(pid, SIGKILL);  // not reaped yet, so the number is still this child's
  (void)::waitpid(pid, nullptr, 0);
  return std::move(pidfd).error();
}

Result<> close_all_but(std::span<const int> kept) {
  std::vector<int> sorted(kept.begin(), kept.end());
  std::erase_if(sorted, [](int fd) { return fd < 0; });
  std::sort(sorted.begin(), sorted.end());
  unsigned first = 0;
  const auto close_until = [&](unsigned last) {
    return first > last || ::syscall(SYS_close_range, first, last, 0) == 0;
  };
  for (const int fd : sorted) {
    const auto here = static_cast<unsigned>(fd);
    if (here > 0 && !close_until(here - 1)) return sys_error(errno, "close_range");
    first = here + 1;
  }
  if (!close_until(UINT_MAX)) return sys_error(errno, "close_range");
  return ok();
}

void exec_in_root(const std::string& root, const std::vector<std::string>& programs,
                  const std::vector<std::string>& argv, int err) {
  if (::chroot(root.c_str()) != 0 || ::chdir("/") != 0) ::_exit(126);
  if (::dup2(err, STDERR_FILENO) < 0) ::_exit(126);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  char path[] = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
  char* const environment[] = {path, nullptr};
  for (const std::string& program : programs) {
    ::execve(program.c_str(), arguments.data(), environment);
  }
  ::_exit(127);
}

Result<> limit_resource(int resource, std::uint64_t value) {
  const rlimit limit = {value, value};
  if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
    return sys_error(errno, "setrlimit");
  return ok();
}

Result<> raise_resource(int resource, std::uint64_t value) {
  rlimit limit = {};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
    return sys_error(errno, "getrlimit");
  if (limit_resource(resource, std::max<rlim_t>(limit.rlim_max, value))) return ok();
  return limit_resource(resource, limit.rlim_max);
}

}  // namespace tare::sys
