#include "support/stepper.h"

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "base/clock.h"
#include "sandbox/launch/report.h"
#include "support/leaks.h"
#include "sys/files.h"

namespace tare::testing {

namespace {

constexpr int kPatienceMs = 20'000;

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error("stepper: " + what); }

void must_trace(long result, const char* what) {
  if (result != 0) give_up(std::string(what) + ": " + std::strerror(errno));
}

std::string call_name(long call) {
  if (call < 0) return "nothing";
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(call)), &std::free);
  return name == nullptr ? std::to_string(call) : name.get();
}

std::string text_of(pid_t pid, const std::string& file) {
  return sys::read_file_at(sys::kCwd, "/proc/" + std::to_string(pid) + "/" + file).value_or("");
}

}  // namespace

bool is_init(pid_t pid) {
  const std::string status = text_of(pid, "status");
  const std::size_t at = status.find("\nNSpid:");
  if (at == std::string::npos) return false;
  const std::size_t end = status.find('\n', at + 1);
  return status.substr(at, end - at).ends_with("\t1");
}

std::vector<pid_t> inits_of(const std::string& home) {
  std::vector<pid_t> pids = processes_of(home);
  std::erase_if(pids, [](pid_t pid) { return !is_init(pid); });
  return pids;
}

std::vector<pid_t> children_of(pid_t launcher) {
  std::istringstream text(text_of(launcher, "task/" + std::to_string(launcher) + "/children"));
  std::vector<pid_t> pids;
  for (pid_t pid = 0; text >> pid;) pids.push_back(pid);
  return pids;
}

std::vector<pid_t> makers_of(pid_t launcher) {
  std::vector<pid_t> pids = children_of(launcher);
  // What one has just cloned has its name still.
  std::erase_if(pids,
                [](pid_t pid) { return text_of(pid, "comm") != "tare-maker\n" || is_init(pid); });
  return pids;
}

const char* name_of(Stepped who) {
  constexpr const char* kNames[] = {"tare-launcher", "a maker",          "tare-init",
                                    "the program",   "a maker's helper", "tare-files"};
  return kNames[static_cast<int>(who)];
}

std::string Stop::text() const {
  return std::string(name_of(who)) + " before its call " + std::to_string(number) + ", " +
         call_name(call) + " (after " + call_name(earlier) + ")";
}

Stepper::Stepper(pid_t launcher, Stepped who)
    : who_(who), traced_(who == Stepped::launcher ? who : Stepped::maker) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, &old_signals_);
  const bool one = who == Stepped::launcher;
  for (const pid_t pid : one ? std::vector<pid_t>{launcher} : makers_of(launcher)) seize(pid);
  if (watched_.empty()) give_up("no makers");
  if (traced_ != who_) return;
  for (const pid_t pid : watched_) run_to_idle(pid);
}

Stepper::Stepper(Waiting process, Stepped who)
    : who_(who), traced_(is_init(process.pid) ? Stepped::init : who), reports_(1) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, &old_signals_);
  seize(process.pid);
  if (traced_ == who_) run_to_idle(process.pid);
}

Stepper::~Stepper() {
  let_go();
  ::sigprocmask(SIG_SETMASK, &old_signals_, nullptr);
}

void Stepper::seize(pid_t pid) {
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC;
  if (traced_ != who_) options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
  must_trace(::ptrace(PTRACE_SEIZE, pid, nullptr, options), "PTRACE_SEIZE");
  watched_.push_back(pid);
}

Stepper::Event Stepper::take(pid_t pid, int status) {
  if (!WIFSTOPPED(status)) return {Happened::death, 0, pid};
  const int signal = WSTOPSIG(status);
  if (signal == (SIGTRAP | 0x80)) return {Happened::call, 0, pid};
  switch (status >> 16) {
    case 0: return {Happened::other, signal, pid};  // on its way to the process
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE: return {Happened::made_child, 0, pid};
    case PTRACE_EVENT_EXEC: return {Happened::executed, 0, pid};
    default: return {Happened::other, 0, pid};
  }
}

Stepper::Event Stepper::next(const std::vector<pid_t>& of, int timeout_ms) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const std::uint64_t until = RealClock().monotonic_us() +
                              static_cast<std::uint64_t>(timeout_ms) * 1000;
  for (;;) {
    for (const pid_t pid : of) {
      int status = 0;
      const pid_t got = ::waitpid(pid, &status, __WALL | WNOHANG);
      if (got < 0) return {Happened::death, 0, pid};  // another owner has reaped it
      if (got > 0) return take(pid, status);
    }
    const std::uint64_t now = RealClock().monotonic_us();
    if (now >= until) return {};
    const std::uint64_t left = until - now;
    const timespec pause = {static_cast<time_t>(left / 1'000'000),
                            static_cast<long>(left % 1'000'000) * 1000};
    (void)::sigtimedwait(&child, nullptr, &pause);
  }
}

Stepper::Event Stepper::expect(const std::vector<pid_t>& of) {
  const Event event = next(of, kPatienceMs);
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

// Is it about to wait for something to do?
bool Stepper::waits() const {
  const bool events = call_ == SYS_epoll_wait || call_ == SYS_epoll_pwait ||
                      call_ == SYS_epoll_pwait2 || call_ == SYS_poll || call_ == SYS_ppoll;
  return events || (traced_ != Stepped::launcher && call_ == SYS_recvmsg);
}

void Stepper::run_to_idle(pid_t pid) {
  pid_ = pid;
  must_trace(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), "PTRACE_INTERRUPT");
  // What waits for an order is in the call already, and enters it once more.
  const bool anyhow = traced_ == Stepped::init || traced_ == Stepped::program;
  for (;;) {
    const Event event = expect({pid});
    if (event.what == Happened::death) give_up("what was to be stepped is dead");
    if (event.what == Happened::call && enters_call() && (anyhow || waits())) return go_on(0);
    go_on(event.signal);
  }
}

// The others may do what they like.
void Stepper::choose(pid_t pid) {
  for (const pid_t other : std::exchange(watched_, {pid})) {
    if (other != pid) detach(other, false, 0);
  }
}

// The child that it has just made, stopped at its birth; 0: it is dead already.
pid_t Stepper::newborn(pid_t parent) {
  unsigned long message = 0;
  must_trace(::ptrace(PTRACE_GETEVENTMSG, parent, nullptr, &message), "PTRACE_GETEVENTMSG");
  const auto child = static_cast<pid_t>(message);
  return expect({child}).what == Happened::death ? 0 : child;
}

// The traced process has made a child, which is stopped at its birth: is it the one to follow?
void Stepper::follow() {
  const pid_t child = newborn(pid_);
  if (child == 0) return go_on(0);
  const bool from_maker = traced_ == Stepped::maker;
  const bool wanted = traced_ != who_ &&
                      (!from_maker || is_init(child) == (who_ != Stepped::helper));
  if (!wanted) {
    (void)::ptrace(PTRACE_DETACH, child, nullptr, nullptr);
    return go_on(0);
  }
  const pid_t parent = pid_;
  choose(parent);
  (void)::ptrace(PTRACE_DETACH, parent, nullptr, nullptr);
  watched_ = {child};
  pid_ = child;
  traced_ = !from_maker ? who_ : who_ == Stepped::helper ? Stepped::helper : Stepped::init;
  go_on(0);
}

Stop Stepper::stop() const { return {traced_, pid_, calls_, call_, earlier_, reports_}; }

std::optional<Stop> Stepper::run_to(int number, const Over& over) {
  if (held_) go_on(std::exchange(signal_, 0));
  for (;;) {
    const Event event = expect(watched_);
    pid_ = event.pid;
    if (traced_ == who_ && watched_.size() > 1) choose(pid_);
    switch (event.what) {
      case Happened::death:
        std::erase(watched_, pid_);
        if (watched_.empty()) return std::nullopt;
        continue;
      case Happened::made_child: follow(); continue;
      case Happened::executed:
        held_ = traced_ == Stepped::program;
        if (held_) return std::nullopt;
        break;
      case Happened::call:
        if (!enters_call() || traced_ != who_) break;
        held_ = ++calls_ == number || (waits() && over(stop()));
        if (held_) return calls_ == number ? std::optional(stop()) : std::nullopt;
        break;
      case Happened::nothing:
      case Happened::other: break;
    }
    go_on(event.signal);
  }
}

int Stepper::count(const Over& over) {
  (void)run_to(INT_MAX, over);
  return calls_;
}

void Stepper::refuse(int error) {
  user_regs_struct registers = {};
  must_trace(::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers), "PTRACE_GETREGS");
  registers.orig_rax = ~0ULL;  // no such call
  must_trace(::ptrace(PTRACE_SETREGS, pid_, nullptr, &registers), "PTRACE_SETREGS");
  must_trace(::ptrace(PTRACE_SYSCALL, pid_, nullptr, signal_), "PTRACE_SYSCALL");
  if (expect({pid_}).what != Happened::call) give_up("what was refused a call is dead");
  must_trace(::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers), "PTRACE_GETREGS");
  registers.rax = static_cast<unsigned long long>(-static_cast<long long>(error));
  must_trace(::ptrace(PTRACE_SETREGS, pid_, nullptr, &registers), "PTRACE_SETREGS");
}

bool Stepper::dies(int timeout_ms) {
  // A kill that came while it was held wakes it; any other stop is left as it is.
  const Event event = next({pid_}, timeout_ms);
  if (event.what != Happened::death) return false;
  watched_.clear();
  return true;
}

void Stepper::let_go() {
  for (const pid_t pid : std::exchange(watched_, {}))
    detach(pid, held_ && pid == pid_, pid == pid_ ? signal_ : 0);
}

void Stepper::detach(pid_t pid, bool held, int signal) {
  if (!held) (void)::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
  for (;;) {
    if (held && ::ptrace(PTRACE_DETACH, pid, nullptr, signal) == 0) return;
    const Event event = next({pid}, kPatienceMs);
    if (event.what == Happened::death) return;
    if (event.what == Happened::nothing) {
      ADD_FAILURE() << "cannot let go of " << stop().text();
      return;
    }
    held = true;
    signal = event.signal;
    // It is ours as well, and would stand at its birth for good.
    if (event.what == Happened::made_child) {
      if (const pid_t child = newborn(pid); child != 0)
        (void)::ptrace(PTRACE_DETACH, child, nullptr, nullptr);
    }
  }
}

}  // namespace tare::testing
