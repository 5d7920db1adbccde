#include "support/stepper.h"

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "base/clock.h"
#include "sandbox/launch/report.h"
#include "sys/files.h"

namespace tare::testing {

namespace {

constexpr int kPatienceMs = 20'000;

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error("stepper: " + what); }

void must_trace(long result, const char* what) {
  if (result != 0) give_up(std::string(what) + ": " + std::strerror(errno));
}

std::string name_of(long call) {
  if (call < 0) return "nothing";
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(call)), &std::free);
  return name == nullptr ? std::to_string(call) : name.get();
}

// The first process of a PID namespace of its own: tare-init, and none of the launcher's helpers.
bool is_init(pid_t pid) {
  const std::string status = sys::read_file_at(sys::kCwd,
                                               "/proc/" + std::to_string(pid) + "/status")
                                 .value_or("");
  const std::size_t at = status.find("\nNSpid:");
  if (at == std::string::npos) return false;
  const std::size_t end = status.find('\n', at + 1);
  return status.substr(at, end - at).ends_with("\t1");
}

// What the loops of tare-launcher and tare-init wait in.
bool waits_for_events(Stepped who, long call) {
  if (who == Stepped::init) return call == SYS_poll || call == SYS_ppoll;
  return who == Stepped::launcher &&
         (call == SYS_epoll_wait || call == SYS_epoll_pwait || call == SYS_epoll_pwait2);
}

}  // namespace

std::string Stop::text() const {
  const char* name = who == Stepped::launcher ? "tare-launcher"
                     : who == Stepped::init   ? "tare-init"
                                              : "the program";
  return std::string(name) + " before its call " + std::to_string(number) + ", " + name_of(call) +
         " (after " + name_of(earlier) + ")";
}

Stepper::Stepper(pid_t launcher, Stepped who) : who_(who), pid_(launcher) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, &old_signals_);
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
  if (who_ != Stepped::launcher) {
    options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  }
  must_trace(::ptrace(PTRACE_SEIZE, pid_, nullptr, options), "PTRACE_SEIZE");
  if (who_ == Stepped::launcher) run_to_idle();
}

Stepper::~Stepper() {
  let_go();
  ::sigprocmask(SIG_SETMASK, &old_signals_, nullptr);
}

Stepper::Event Stepper::next(pid_t pid, int timeout_ms) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const std::uint64_t until = RealClock().monotonic_us() +
                              static_cast<std::uint64_t>(timeout_ms) * 1000;
  for (;;) {
    int status = 0;
    const pid_t got = ::waitpid(pid, &status, __WALL | WNOHANG);
    if (got < 0) return {Happened::death, 0};  // another owner has reaped it
    if (got == 0) {
      const std::uint64_t now = RealClock().monotonic_us();
      if (now >= until) return {};
      const std::uint64_t left = until - now;
      const timespec pause = {static_cast<time_t>(left / 1'000'000),
                              static_cast<long>(left % 1'000'000) * 1000};
      (void)::sigtimedwait(&child, nullptr, &pause);
      continue;
    }
    if (!WIFSTOPPED(status)) return {Happened::death, 0};
    const int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) return {Happened::call, 0};
    switch (status >> 16) {
      case 0: return {Happened::other, signal};  // on its way to the process
      case PTRACE_EVENT_FORK:
      case PTRACE_EVENT_VFORK:
      case PTRACE_EVENT_CLONE: return {Happened::made_child, 0};
      case PTRACE_EVENT_EXEC: return {Happened::executed, 0};
      default: return {Happened::other, 0};
    }
  }
}

Stepper::Event Stepper::expect(pid_t pid) {
  const Event event = next(pid, kPatienceMs);
  if (event.what == Happened::nothing) give_up("nothing happens after " + stop().text());
  return event;
}

void Stepper::go_on(int signal) {
  held_ = false;
  // ESRCH: it has been killed while it was held, which the next event tells.
  (void)::ptrace(traced_ == who_ ? PTRACE_SYSCALL : PTRACE_CONT, pid_, nullptr, signal);
}

// True when the process, at a stop for a system call, enters it rather than leaves it.
bool Stepper::enters_call() {
  __ptrace_syscall_info info = {};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid_, sizeof info, &info) <= 0) return false;
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
    earlier_ = std::exchange(call_, static_cast<long>(info.entry.nr));
    call_fd_ = static_cast<long>(info.entry.args[0]);
    return true;
  }
  const bool sent = call_ == SYS_sendto || call_ == SYS_sendmsg || call_ == SYS_write;
  if (sent && traced_ == Stepped::init && call_fd_ == sandbox::kControlFd) ++reports_;
  return false;
}

void Stepper::run_to_idle() {
  must_trace(::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr), "PTRACE_INTERRUPT");
  for (;;) {
    const Event event = expect(pid_);
    if (event.what == Happened::death) give_up("the launcher is dead");
    if (event.what == Happened::call && enters_call() && waits_for_events(traced_, call_))
      return go_on(0);
    go_on(event.signal);
  }
}

// The traced process has made a child, which is stopped at its birth: is it the one to follow?
void Stepper::follow() {
  unsigned long message = 0;
  must_trace(::ptrace(PTRACE_GETEVENTMSG, pid_, nullptr, &message), "PTRACE_GETEVENTMSG");
  const auto child = static_cast<pid_t>(message);
  if (expect(child).what == Happened::death) return go_on(0);
  const bool wanted = traced_ != who_ && (traced_ == Stepped::init || is_init(child));
  if (!wanted) {
    (void)::ptrace(PTRACE_DETACH, child, nullptr, nullptr);
    return go_on(0);
  }
  (void)::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
  pid_ = child;
  traced_ = traced_ == Stepped::launcher ? Stepped::init : Stepped::program;
  go_on(0);
}

Stop Stepper::stop() const { return {traced_, pid_, calls_, call_, earlier_, reports_}; }

std::optional<Stop> Stepper::run_to(int number, const std::function<bool()>& over) {
  if (held_) go_on(std::exchange(signal_, 0));
  for (;;) {
    const Event event = expect(pid_);
    switch (event.what) {
      case Happened::death: pid_ = 0; return std::nullopt;
      case Happened::made_child: follow(); continue;
      case Happened::executed:
        held_ = traced_ == Stepped::program;
        if (held_) return std::nullopt;
        break;
      case Happened::call:
        if (!enters_call() || traced_ != who_) break;
        held_ = ++calls_ == number || (over && waits_for_events(traced_, call_) && over());
        if (held_) return calls_ == number ? std::optional(stop()) : std::nullopt;
        break;
      case Happened::nothing:
      case Happened::other: break;
    }
    go_on(event.signal);
  }
}

int Stepper::count(const std::function<bool()>& over) {
  (void)run_to(INT_MAX, over);
  return calls_;
}

bool Stepper::dies(int timeout_ms) {
  // A kill that came while it was held wakes it; any other stop is left as it is.
  const Event event = next(pid_, timeout_ms);
  if (event.what != Happened::death) return false;
  pid_ = 0;
  return true;
}

void Stepper::let_go() {
  if (pid_ == 0) return;
  if (!held_) (void)::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
  for (;;) {
    if (held_ && ::ptrace(PTRACE_DETACH, pid_, nullptr, signal_) == 0) break;
    const Event event = next(pid_, kPatienceMs);
    if (event.what == Happened::death) break;
    if (event.what == Happened::nothing) {
      ADD_FAILURE() << "cannot let go of " << stop().text();
      break;
    }
    held_ = true;
    signal_ = event.signal;
  }
  pid_ = 0;
}

}  // namespace tare::testing
