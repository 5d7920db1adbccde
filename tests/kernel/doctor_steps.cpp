#include "doctor_steps.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/clock.h"
#include "sandbox/doctor/check.h"
#include "support/patience.h"

namespace tare::testing {

namespace {

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error("doctor_steps: " + what);
}

struct Event {
  bool death = false;
  bool call = false;  // enters or leaves one
  bool made_child = false;
  int signal = 0;  // on its way to the process
};

Event event_of(int status) {
  if (!WIFSTOPPED(status)) return {.death = true};
  if (WSTOPSIG(status) == (SIGTRAP | 0x80)) return {.call = true};
  const int what = status >> 16;
  if (what == 0) return {.signal = WSTOPSIG(status)};
  return {.made_child = what == PTRACE_EVENT_FORK || what == PTRACE_EVENT_VFORK ||
                        what == PTRACE_EVENT_CLONE};
}

Event next(pid_t pid) {
  const std::uint64_t until = RealClock().monotonic_us() +
                              static_cast<std::uint64_t>(patience_ms(60'000)) * 1000;
  while (RealClock().monotonic_us() < until) {
    int status = 0;
    const pid_t got = ::waitpid(pid, &status, __WALL | WNOHANG);
    if (got < 0) return {.death = true};
    if (got > 0) return event_of(status);
    ::usleep(500);
  }
  give_up("process " + std::to_string(pid) + " does nothing");
}

// ESRCH: it has been killed, which the next event tells.
void go_on(pid_t pid, __ptrace_request how, int signal) {
  (void)::ptrace(how, pid, nullptr, signal);
}

// Its parent does not see that it is dead before we do.
void let_go(pid_t& pid) {
  if (pid != 0 && ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr) != 0)
    (void)::waitpid(pid, nullptr, __WALL);
  pid = 0;
}

// At an event of a call: which one it enters.
std::optional<long> entered(pid_t pid) {
  __ptrace_syscall_info info = {};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return std::nullopt;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return std::nullopt;
  return static_cast<long>(info.entry.nr);
}

}  // namespace

std::string Place::text() const {
  return std::string(check) + (call < 0 ? " at its birth" : " before call ") +
         (call < 0 ? "" : std::to_string(call)) + (child_is_unborn ? ", its child unborn" : "");
}

HeldCheck::HeldCheck(pid_t doctor) : doctor_(doctor) {
  constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK |
                            PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
  if (::ptrace(PTRACE_SEIZE, doctor, nullptr, kOptions) != 0)
    give_up(std::string("PTRACE_SEIZE: ") + std::strerror(errno));
}

HeldCheck::~HeldCheck() {
  let_go(check_);
  let_go(child_);
}

// Held at its birth, as its parent is at the end of the call that made it.
pid_t HeldCheck::newborn(pid_t parent) {
  unsigned long message = 0;
  if (::ptrace(PTRACE_GETEVENTMSG, parent, nullptr, &message) != 0) give_up("no child");
  const auto child = static_cast<pid_t>(message);
  if (next(child).death) give_up("a child was dead at its birth");
  return child;
}

void HeldCheck::hold(const Place& place) {
  const auto all = sandbox::checks();
  const auto found = std::ranges::find(all, std::string_view(place.check), &sandbox::Check::name);
  if (found == all.end()) give_up(std::string("no check ") + place.check);
  for (Event event = next(doctor_); !event.made_child; event = next(doctor_)) {
    if (event.death) give_up("the doctor is dead");
    go_on(doctor_, PTRACE_CONT, event.signal);
  }
  keeper_ = newborn(doctor_);
  let_go(doctor_);
  find_check(static_cast<int>(found - all.begin()));
  is_unborn_ = place.call < 0;
  if (!is_unborn_) find_call(place);
}

void HeldCheck::find_check(int number) {
  pid_t keeper = keeper_;
  for (;;) {
    go_on(keeper, PTRACE_CONT, 0);
    Event event = next(keeper);
    for (; !event.made_child; event = next(keeper)) {
      if (event.death) give_up("the keeper is dead");
      go_on(keeper, PTRACE_CONT, event.signal);
    }
    check_ = newborn(keeper);
    if (number-- == 0) break;
    let_go(check_);
  }
  let_go(keeper);
}

void HeldCheck::find_call(const Place& place) {
  int signal = 0;
  for (;;) {
    go_on(check_, PTRACE_SYSCALL, signal);
    const Event event = next(check_);
    if (event.death) {
      check_ = 0;
      give_up("there is no such place: " + place.text());
    }
    signal = event.signal;
    if (event.made_child) {
      pid_t child = newborn(check_);
      if (place.child_is_unborn && child_ == 0) {
        child_ = child;
      } else {
        let_go(child);
      }
    }
    const bool has_child = child_ != 0 || !place.child_is_unborn;
    if (event.call && has_child && entered(check_) == place.call) return;
  }
}

void HeldCheck::wait_for_death() {
  // Of one that is not born nobody's signal need have come: it sees for itself that it is alone.
  if (is_unborn_) return let_go(check_);
  while (!next(check_).death) go_on(check_, PTRACE_CONT, 0);
  check_ = 0;
  let_go(child_);
}

}  // namespace tare::testing
