#include "sandbox/init/program.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "sandbox/init/raw.h"
#include "sandbox/plan/reader.h"

namespace tare::sandbox::init {

namespace {

// What the child tells tare-init: the time before execve, then, only if something failed, what. Of
// another size than the time, so that one cannot be taken for the other.
struct Failure {
  std::uint32_t step = 0;
  std::int32_t error = 0;
  std::uint32_t spare = 0;
};
static_assert(sizeof(Failure) != sizeof(std::uint64_t));

constexpr int kTellFd = 3;  // of the child, close-on-exec
constexpr std::size_t kMaxPointers = kMaxPlanSteps + 1;
const char* argument_list[kMaxPointers];
const char* variable_list[kMaxPointers];

int become(std::uint64_t uid, std::uint64_t gid) {
  const auto u = static_cast<unsigned>(uid);
  const auto g = static_cast<unsigned>(gid);
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) return errno;
  if (::syscall(SYS_setresgid, g, g, g) != 0) return errno;
  return outcome(::syscall(SYS_setresuid, u, u, u));
}

int install_filter(std::string_view bytes) {
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(bytes.size() / sizeof(sock_filter));
  program.filter = const_cast<sock_filter*>(reinterpret_cast<const sock_filter*>(bytes.data()));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  return outcome(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

// New session, stdio, nothing else open, default signals, the OOM killer's favourite before
// tare-init.
int become_session(const int (&stdio)[3], int tell) {
  ::setsid();
  for (int i = 0; i < 3; ++i) {
    if (::dup2(stdio[i], i) < 0) return errno;
  }
  if (::dup3(tell, kTellFd, O_CLOEXEC) < 0 && tell != kTellFd) return errno;
  if (::syscall(SYS_close_range, kTellFd + 1, ~0U, 0) != 0) return errno;
  sigset_t none;
  sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return errno;
  ::umask(022);
  return outcome(::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}

int exec_path(const char* path) {
  ::execve(path, const_cast<char**>(argument_list), const_cast<char**>(variable_list));
  // A script whose interpreter is missing is ENOENT too, but the file is there: it is not
  // executable.
  return errno == ENOENT && ::access(path, F_OK) == 0 ? ENOEXEC : errno;
}

const char* search_path() {
  for (const char** variable = variable_list; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "PATH=", 5) == 0) return *variable + 5;
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

// As execvpe(3), without its fallback to a shell: a program with a slash is a path, any other is
// searched for.
int execute() {
  const char* name = argument_list[0];
  if (std::strchr(name, '/') != nullptr) return exec_path(name);
  int error = ENOENT;
  for (const char* from = search_path(); *from != '\0';) {
    const std::size_t size = std::strcspn(from, ":");
    char path[4096];
    if (size > 0 && size + std::strlen(name) + 2 <= sizeof path) {
      std::memcpy(path, from, size);
      path[size] = '/';
      std::strcpy(path + size + 1, name);
      const int failed = exec_path(path);
      if (failed != ENOENT && failed != ENOTDIR) error = failed;
    }
    from += size;
    if (*from == ':') ++from;
  }
  return error;
}

int tell_time_and_execute() {
  const std::uint64_t now = monotonic_ns();
  if (::write(kTellFd, &now, sizeof now) != sizeof now) return EPIPE;
  return execute();
}

struct Lists {
  std::size_t arguments = 0, variables = 0;
};

int apply_program_step(const StepView& step, Lists& lists) {
  switch (step.op) {
    case Op::resource: {
      const rlimit limit = {step.m, step.m};
      return outcome(::setrlimit(static_cast<__rlimit_resource_t>(step.n), &limit));
    }
    case Op::working_dir: return outcome(::chdir(step.a.data()));
    case Op::identity: return become(step.n, step.m);
    case Op::capabilities: return hold_only_capabilities(step.m);
    case Op::filter: return install_filter(step.a);
    case Op::argument: argument_list[lists.arguments++] = step.a.data(); return 0;
    case Op::variable: variable_list[lists.variables++] = step.a.data(); return 0;
    case Op::execute: return tell_time_and_execute();
    default: return EINVAL;
  }
}

[[noreturn]] void child(std::string_view plan, const int (&stdio)[3], int tell) {
  Failure failure;
  failure.error = become_session(stdio, tell);
  PlanReader reader(plan);
  StepView step;
  Lists lists;
  while (failure.error == 0 && reader.next(step)) {
    if (!is_program_step(step.op)) continue;
    failure.error = apply_program_step(step, lists);
    failure.step = reader.position();
  }
  const ssize_t told = ::write(kTellFd, &failure, sizeof failure);
  ::_exit(told == sizeof failure ? 127 : 126);
}

// Everything the child says until it has executed (then the pipe closes by itself) or failed.
void listen_to(int tell, StartedProgram& started) {
  char said[sizeof(std::uint64_t) + sizeof(Failure)];
  std::size_t size = 0;
  for (;;) {
    const ssize_t n = ::read(tell, said + size, sizeof said - size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    size += static_cast<std::size_t>(n);
    if (size == sizeof said) break;
  }
  Failure failure;
  if (size == sizeof(std::uint64_t)) {
    std::memcpy(&started.at_ns, said, sizeof started.at_ns);
    started.executed = true;
    return;
  }
  if (size < sizeof failure) {
    failure = {0, EIO, 0};  // killed before it could say anything
  } else {
    std::memcpy(&failure, said + size - sizeof failure, sizeof failure);
  }
  started.error = failure.error;
  started.step = failure.step;
}

}  // namespace

std::uint64_t monotonic_ns() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

StartedProgram start_program(std::string_view plan, const int (&stdio)[3]) {
  StartedProgram started;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {-1, errno, 0, false, 0};
  const Fd hear(ends[0]);
  {
    const Fd tell(ends[1]);
    started.pid = ::fork();
    if (started.pid == 0) child(plan, stdio, tell.get());
    if (started.pid < 0) return {-1, errno, 0, false, 0};
  }
  listen_to(hear.get(), started);
  return started;
}

}  // namespace tare::sandbox::init
