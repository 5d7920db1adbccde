#include "sandbox/init/program.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "sandbox/init/confine.h"
#include "sandbox/init/denied.h"
#include "sandbox/init/order.h"
#include "sandbox/init/raw.h"
#include "sandbox/launch/report.h"
#include "sandbox/plan/reader.h"

namespace tare::sandbox::init {

namespace {

// What the child tells tare-init: a Failure when it is ready (without an error, and with its
// filter's listener), then a Start before execve, then, only if something failed, a Failure again.
// Of different sizes, so that one cannot be taken for the other.
struct Failure {
  std::uint32_t step = 0;
  std::int32_t error = 0;
  std::uint32_t spare = 0;
};
struct Start {
  std::uint64_t at_ns = 0, gate_ns = 0;
  std::uint64_t terminal = 0;  // 1: the first descriptor is its master; the other is the listener
};
static_assert(sizeof(Failure) < sizeof(Start));

constexpr int kChannelFd = 3;  // of the child, close-on-exec
constexpr int kGateFd = 4;     // of the child while it has one, close-on-exec
constexpr int kProgramFd = 4;  // of an exec's child whose program is handed in, close-on-exec
constexpr int kChildFds = 5;   // the plan, the gate, stdio; and perhaps the report
constexpr std::size_t kMaxPointers = kMaxPlanSteps + 1;
const char* argument_list[kMaxPointers];
const char* variable_list[kMaxPointers];

int move_fd(int from, int to) { return from == to || ::dup3(from, to, O_CLOEXEC) >= 0 ? 0 : errno; }

// New session, nothing else open than the channel, `program` if there is one (>= 0), and stdio
// (/dev/null yet), default signals.
int become_session(int channel, int program) {
  ::setsid();
  if (const int error = move_fd(channel, kChannelFd); error != 0) return error;
  if (program >= 0) {
    if (const int error = move_fd(program, kProgramFd); error != 0) return error;
  }
  const int last = program >= 0 ? kProgramFd : kChannelFd;
  if (::syscall(SYS_close_range, last + 1, ~0U, 0) != 0) return errno;
  // What is ignored would stay so through every execve: by tare-launcher (SIGPIPE, SIGHUP), and by
  // what started it (posix_spawn of glibc leaves 32 and 33, its own, ignored). Libc's call refuses
  // those two.
  constexpr std::uint64_t kDefault[4] = {};  // the kernel's struct sigaction
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    if (::syscall(SYS_rt_sigaction, signal, kDefault, nullptr, 8) != 0) return errno;
  }
  sigset_t none;
  sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return errno;
  ::umask(022);
  return outcome(::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}

// `fds`: the gate, stdio and perhaps the report (or -1), all above kGateFd but for the plan, which
// is closed already; so only the gate can be in the report's place.
int take_descriptors(const int* fds) {
  for (int i = 0; i < 3; ++i) {
    if (::dup2(fds[i + 1], i) < 0) return errno;
  }
  if (fds[0] != kGateFd && ::dup3(fds[0], kGateFd, O_CLOEXEC) < 0) return errno;
  const int report = fds[kChildFds - 1];
  if (report >= 0) {
    static_assert(kReportFd == kGateFd + 1);
    if (report == kReportFd || ::dup2(report, kReportFd) < 0) return report < 0 ? errno : EBADF;
  }
  const int last = report >= 0 ? kReportFd : kGateFd;
  return outcome(static_cast<int>(::syscall(SYS_close_range, last + 1, ~0U, 0)));
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

// The run is on record: now, or never.
int pass_gate() {
  char byte = 0;
  ssize_t n = -1;
  do {
    n = ::read(kGateFd, &byte, 1);
  } while (n < 0 && errno == EINTR);
  return n == 1 ? 0 : kGateClosed;
}

int execute_handed_in() {
  ::syscall(SYS_execveat, kProgramFd, "", const_cast<char**>(argument_list),
            const_cast<char**>(variable_list), AT_EMPTY_PATH);
  return errno;
}

struct Made {
  std::size_t arguments = 0, variables = 0;
  int listener = -1, ruleset = -1, terminal = -1;
};

int tell_time_and_execute(Execute how, Made& made) {
  Start start;
  int fds[2];
  int count = 0;
  const std::uint64_t before_ns = monotonic_ns();
  if (how == Execute::gated) {
    if (const int error = pass_gate(); error != 0) return error;
  } else {  // of a run's program the listener is known already
    if (made.terminal >= 0) fds[count++] = made.terminal;
    if (made.listener >= 0) fds[count++] = made.listener;
    start.terminal = made.terminal >= 0 ? 1 : 0;
  }
  start.at_ns = monotonic_ns();
  start.gate_ns = start.at_ns - before_ns;
  if (const int error = send_packet(kChannelFd, &start, sizeof start, fds, count); error != 0)
    return error;
  for (int i = 0; i < count; ++i) ::close(fds[i]);
  return how == Execute::handed_in ? execute_handed_in() : execute();
}

int apply_program_step(const StepView& step, Made& made) {
  switch (step.op) {
    case Op::resource: {
      const rlimit limit = {step.m, step.m};
      return outcome(::setrlimit(static_cast<__rlimit_resource_t>(step.n), &limit));
    }
    case Op::working_dir: return outcome(::chdir(step.a.data()));
    case Op::identity: return become(step.n, step.m);
    case Op::capabilities: return hold_only_capabilities(step.m);
    case Op::confine: return begin_ruleset(step.n, step.m, made.ruleset);
    case Op::confine_beneath: return allow_beneath(step.a.data(), step.n, made.ruleset);
    case Op::confined: return hold_ruleset(made.ruleset);
    case Op::filter: return install_filter(step.a, made.listener);
    case Op::terminal: return make_terminal(step.n, step.m, made.terminal);
    case Op::argument: argument_list[made.arguments++] = step.a.data(); return 0;
    case Op::variable: variable_list[made.variables++] = step.a.data(); return 0;
    case Op::execute: return tell_time_and_execute(static_cast<Execute>(step.n), made);
    case Op::prepared: return 0;
    default: return EINVAL;
  }
}

Failure apply_all(std::string_view plan, Op last, Made& made) {
  Failure failure;
  PlanReader reader(plan);
  StepView step;
  while (failure.error == 0 && reader.next(step)) {
    if (!is_program_step(step.op)) continue;
    failure.step = reader.position();
    if (is_last_step(step.op) && step.op != last) failure.error = EINVAL;
    if (failure.error == 0) failure.error = apply_program_step(step, made);
  }
  if (failure.error == 0 && reader.damaged()) failure.error = EBADMSG;
  return failure;
}

bool tell(const Failure& failure, int listener = -1) {
  const int fds = listener >= 0 ? 1 : 0;
  return send_packet(kChannelFd, &failure, sizeof failure, &listener, fds) == 0;
}

// The child, from fork to execve.
[[noreturn]] void child(std::string_view base, int channel) {
  Failure failure;
  failure.error = become_session(channel, -1);
  Made made;
  if (failure.error == 0) failure = apply_all(base, Op::prepared, made);
  if (!tell(failure, made.listener) || failure.error != 0) ::_exit(126);
  if (made.listener >= 0) ::close(made.listener);
  char byte = 0;
  int fds[kChildFds + 1];
  std::string_view plan;
  if (!receive_fds(kChannelFd, byte, fds, kChildFds, kChildFds + 1) || !map_plan(fds[0], plan))
    ::_exit(126);  // tare-init sees the channel closed
  ::close(fds[0]);
  failure.error = take_descriptors(fds + 1);
  if (failure.error == 0) failure = apply_all(plan, Op::execute, made);
  ::_exit(tell(failure) ? 127 : 126);
}

[[noreturn]] void exec_child(std::string_view plan, int channel, int program,
                             const int (&stdio)[3]) {
  Failure failure;
  for (int i = 0; i < 3; ++i) {
    if (stdio[i] >= 0 && ::dup2(stdio[i], i) < 0) failure.error = errno;
  }
  if (failure.error == 0) failure.error = become_session(channel, program);
  Made made;
  if (failure.error == 0) failure = apply_all(plan, Op::execute, made);
  ::_exit(tell(failure) ? 127 : 126);
}

// What the child says.
struct Word {
  enum class Kind : std::uint8_t { none, failure, start };  // none: its channel is closed
  Kind kind = Kind::none;
  Failure failure;
  Start start;
  int listener = -1;
};

Word hear(int channel) {
  Word word;
  char said[sizeof(Start)];
  const ssize_t n = receive_packet(channel, said, sizeof said, &word.listener, 1);
  if (n == sizeof word.start) {
    std::memcpy(&word.start, said, sizeof word.start);
    word.kind = Word::Kind::start;
  } else if (n == sizeof word.failure) {
    std::memcpy(&word.failure, said, sizeof word.failure);
    word.kind = Word::Kind::failure;
  } else {
    word.failure.error = EIO;  // killed before it could say anything
  }
  return word;
}

}  // namespace

ExecChild start_exec(std::string_view plan, int program, const int (&stdio)[3]) {
  ExecChild child;
  int ends[2];
  child.error = outcome(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
  if (child.error != 0) return child;
  child.pid = ::fork();
  if (child.pid == 0) exec_child(plan, ends[1], program, stdio);
  child.error = child.pid < 0 ? errno : outcome(::fcntl(ends[0], F_SETFL, O_NONBLOCK));
  ::close(ends[1]);
  child.channel = ends[0];
  if (child.error == 0) return child;
  ::close(ends[0]);  // a child that is there ends by it
  child.channel = -1;
  return child;
}

ExecSaid hear_exec(int channel, bool was_starting, ExecWords& words) {
  char said[sizeof(Start)];
  int fds[2];
  errno = 0;
  const ssize_t n = receive_packet(channel, said, sizeof said, fds, 2);
  if (n < 0 && errno == EAGAIN) return ExecSaid::nothing_yet;
  if (n == sizeof(Start) && !was_starting) {
    Start start;
    std::memcpy(&start, said, sizeof start);
    words.at_ns = start.at_ns;
    words.terminal = start.terminal == 1 ? fds[0] : -1;
    words.listener = start.terminal == 1 ? fds[1] : fds[0];
    if (words.listener >= 0) answer_on_the_same_processor(words.listener);
    return ExecSaid::starting;
  }
  for (const int fd : fds) {
    if (fd >= 0) ::close(fd);
  }
  if (n <= 0 && was_starting) return ExecSaid::executed;  // the channel was closed by execve
  Failure failure;
  failure.error = EIO;
  if (n == sizeof failure) std::memcpy(&failure, said, sizeof failure);
  words.step = failure.step;
  words.error = failure.error;
  return ExecSaid::failed;
}

std::uint64_t monotonic_ns() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

WaitingProgram prepare_program(std::string_view plan) {
  WaitingProgram waiting;
  int ends[2];
  waiting.error = outcome(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
  if (waiting.error != 0) return waiting;
  waiting.channel = ends[0];
  waiting.pid = ::fork();
  if (waiting.pid == 0) child(plan, ends[1]);
  waiting.error = waiting.pid < 0 ? errno : 0;
  ::close(ends[1]);  // now: a child that is killed must be seen by the end of its channel
  if (waiting.error != 0) return waiting;
  const Word word = hear(waiting.channel);
  waiting.error = word.kind == Word::Kind::start ? EBADMSG : word.failure.error;
  waiting.step = word.failure.step;
  waiting.listener = word.listener;
  if (waiting.listener >= 0) answer_on_the_same_processor(waiting.listener);
  return waiting;
}

StartedProgram start_program(const WaitingProgram& waiting, int plan_fd, int gate,
                             const int (&stdio)[3], int report) {
  StartedProgram started;
  started.pid = waiting.pid;
  const int fds[kChildFds + 1] = {plan_fd, gate, stdio[0], stdio[1], stdio[2], report};
  started.error = send_fds(waiting.channel, fds, report >= 0 ? kChildFds + 1 : kChildFds);
  if (started.error != 0) return started;
  Word word = hear(waiting.channel);
  started.at_ns = word.start.at_ns;
  started.gate_ns = word.start.gate_ns;
  if (word.kind == Word::Kind::start) {
    // Then the channel closes: by execve, or with the process after it has said why not.
    word = hear(waiting.channel);
    started.executed = word.kind == Word::Kind::none;
    if (started.executed) return started;
  }
  started.error = word.failure.error;
  started.step = word.failure.step;
  return started;
}

}  // namespace tare::sandbox::init
