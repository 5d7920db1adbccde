#include "sys/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <tuple>

#include "sys/retry.h"

namespace tare::sys {
namespace {

// posix_spawn's two argument objects, destroyed at the end.
struct Plan {
  Plan() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~Plan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

int set_up(Plan& plan, const SpawnOptions& options) {
  // Copies above 2 first, so that no dup2 overwrites a source that a later one needs.
  const std::tuple<int, int, int> streams[] = {
      {options.in, 0, O_RDONLY}, {options.out, 1, O_WRONLY}, {options.err, 2, O_WRONLY}};
  for (const auto& [from, to, flags] : streams) {
    const int error = from < 0 ? ::posix_spawn_file_actions_addopen(&plan.actions, to, "/dev/null",
                                                                    flags, 0)
                               : ::posix_spawn_file_actions_adddup2(&plan.actions, from, to);
    if (error != 0) return error;
  }
  if (const int error = ::posix_spawn_file_actions_addchdir_np(&plan.actions,
                                                               options.cwd.c_str())) {
    return error;
  }
  if (const int error = ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, 3)) return error;
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.new_session) flags |= POSIX_SPAWN_SETSID;
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  ::posix_spawnattr_setsigdefault(&plan.attributes, &all);
  return ::posix_spawnattr_setflags(&plan.attributes, static_cast<short>(flags));
}

}  // namespace

Result<Process> Process::open(pid_t pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return sys_error(errno, "pidfd_open " + std::to_string(pid));
  return Process(pid, std::move(fd));
}

Result<> Process::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0) {
    return sys_error(errno, "pidfd_send_signal");
  }
  return ok();
}

bool Process::ended() const {
  pollfd poll{pidfd_.get(), POLLIN, 0};
  return retry([&] { return ::poll(&poll, 1, 0); }) > 0;
}

Result<ExitStatus> Process::reap() {
  siginfo_t info = {};
  const auto wait = [&] {
    return ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  };
  if (retry(wait) != 0) return sys_error(errno, "waitid");
  return ExitStatus{info.si_code != CLD_EXITED, info.si_status};
}

Result<Process> spawn(const SpawnOptions& options) {
  for (const int fd : {options.in, options.out, options.err}) {
    CHECK(fd < 0 || fd > 2);  // see set_up
  }
  Plan plan;
  if (const int error = set_up(plan, options)) return sys_error(error, "posix_spawn attributes");
  auto argv_texts = options.argv;
  auto env_texts = options.env;
  const auto argv = pointers_to(argv_texts);
  const auto env = pointers_to(env_texts);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, options.program.c_str(), &plan.actions, &plan.attributes,
                                  argv.data(), env.data());
  if (error != 0) return sys_error(error, "start " + options.program);
  // The pid cannot be reused before we reap it.
  return Process::open(pid);
}

}  // namespace tare::sys
