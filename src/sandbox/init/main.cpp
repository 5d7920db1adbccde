// tare-init: PID 1 of a sandbox. Static, single-threaded, no allocation. Born by tare-launcher as
// root of a new user namespace; applies the plan, starts the program, reaps, and ends when the
// program does: then the kernel ends all that is left. It holds nothing worth stealing: one socket
// to the launcher, and after `settle` three capabilities.
//
//   base plan -> apply: an empty sandbox -> wait for the order -> apply the run's steps -> start
//   the program -> reap, and answer what is refused, until it ends -> kill the rest
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "sandbox/init/apply.h"
#include "sandbox/init/denied.h"
#include "sandbox/init/order.h"
#include "sandbox/init/program.h"
#include "sandbox/init/raw.h"
#include "sandbox/init/waits.h"
#include "sandbox/launch/report.h"
#include "sandbox/plan/reader.h"

namespace tare::sandbox::init {

namespace {

struct Order {
  std::string_view plan;
  int plan_fd = -1, gate = -1;
  int stdio[3] = {-1, -1, -1};
  int input = -1;
};

void send_report(const Report& report) {
  // A launcher that is gone cannot be told; PDEATHSIG and the hang-up that live() sees end this
  // process then.
  (void)::send(kControlFd, &report, sizeof report, MSG_NOSIGNAL);
}

// The base plan, alone.
bool receive_base(Order& base) {
  char byte = 0;
  return receive_fds(kControlFd, byte, &base.plan_fd, 1, 1) && byte == kBaseByte &&
         map_plan(base.plan_fd, base.plan);
}

// The run's plan, the gate, the program's stdio, perhaps the input.
bool receive_order(Order& order) {
  char byte = 0;
  int fds[6];
  if (!receive_fds(kControlFd, byte, fds, 5, 6) || byte != kOrderByte) return false;
  order.plan_fd = fds[0];
  order.gate = fds[1];
  std::memcpy(order.stdio, fds + 2, sizeof order.stdio);
  order.input = fds[5];
  return map_plan(order.plan_fd, order.plan);
}

// The sandbox's own steps. False when one failed; it has been reported then.
bool apply_all(const Order& order) {
  PlanReader reader(order.plan);
  StepView step;
  Report report;
  while (reader.next(step)) {
    if (is_program_step(step.op)) continue;
    report.error = apply(step, order.input);
    report.step = reader.position();
    if (report.error != 0) break;
  }
  if (report.error == 0 && !reader.damaged()) return true;
  if (report.error == 0) report.error = EBADMSG;
  send_report(report);
  return false;
}

// An empty sandbox, and in it a process that waits to become the program.
bool prepare(WaitingProgram& waiting) {
  Order base;
  if (!receive_base(base) || !apply_all(base)) return false;
  waiting = prepare_program(base.plan);
  ::close(base.plan_fd);
  ::munmap(const_cast<char*>(base.plan.data()), base.plan.size());
  Report report;
  if (waiting.error == 0) {
    report.kind = ReportKind::prepared;
  } else {
    report.step = waiting.step;
    report.error = waiting.error;
  }
  send_report(report);
  return waiting.error == 0;
}

// False when the waiting process has died before there was an order: then this sandbox is of no
// use, and an order that is there already is left unread, which tells the launcher so.
bool wait_for_order(int channel) {
  pollfd waits[2] = {{kControlFd, POLLIN, 0}, {channel, POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return waits[1].revents == 0;
}

bool start(const WaitingProgram& waiting, const Order& order) {
  const StartedProgram started = start_program(waiting, order.plan_fd, order.gate, order.stdio);
  for (const int fd : {order.stdio[0], order.stdio[1], order.stdio[2], order.plan_fd, order.gate,
                       order.input, waiting.channel}) {
    if (fd >= 0) ::close(fd);
  }
  Report report;
  if (started.executed) {
    report.kind = ReportKind::started;
    report.at_ns = started.at_ns;
    report.gate_ns = started.gate_ns;
    send_report(report);
    return true;
  }
  const bool was_exec = started.step == PlanReader(order.plan).steps() &&
                        started.error != kGateClosed;
  report.kind = was_exec ? ReportKind::not_executed : ReportKind::step_failed;
  report.step = started.step;
  report.error = started.error;
  send_report(report);
  return false;
}

// The sandbox's life from the program's start to its end.
struct Life {
  pid_t program = -1;
  Report ended;
  bool over = false;      // the program has ended
  bool orphaned = false;  // the launcher is gone
  DeniedCalls denied;
};

// Takes zombies, a bounded number: who makes them faster than that must not keep the others
// waiting.
bool on_signal(void* who, int signals, short) {
  constexpr int kMostReaped = 64;
  Life& life = *static_cast<Life*>(who);
  signalfd_siginfo info;
  (void)::read(signals, &info, sizeof info);  // SIGCHLD does not queue: it is one, or none
  for (int i = 0; i < kMostReaped; ++i) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return true;
    if (pid != life.program) continue;
    life.over = true;
    life.ended.kind = ReportKind::ended;
    life.ended.signalled = WIFSIGNALED(status) ? 1 : 0;
    life.ended.status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    life.ended.at_ns = monotonic_ns();
    return true;
  }
  ::kill(::getpid(), SIGCHLD);  // there may be more
  return true;
}

// Nothing more is said on it; it closes when the launcher is gone.
bool on_control(void* who, int, short events) {
  Life& life = *static_cast<Life*>(who);
  life.orphaned = (events & (POLLHUP | POLLERR)) != 0;
  return !life.orphaned;
}

bool on_denied(void* who, int listener, short events) {
  return static_cast<Life*>(who)->denied.answer(listener, events);
}

// All that is left: daemons that forked away twice, background jobs.
void end_the_rest() {
  ::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
}

// True when the program has ended, and somebody is there to be told.
bool live(Life& life, int signals, int listener) {
  Waits waits;
  if (!waits.add(signals, &on_signal, &life) || !waits.add(kControlFd, &on_control, &life))
    return false;
  if (listener >= 0 && !waits.add(listener, &on_denied, &life)) return false;
  while (!life.over && !life.orphaned) {
    if (!waits.turn()) return false;
  }
  return life.over;
}

// A signalfd of SIGCHLD; all signals are blocked.
int hear_of_children() {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  return ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

int run() {
  // Out of tare-launcher's session: with it go its terminal, and the weight of its autogroup.
  ::setsid();
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_NAME, "tare-init", 0, 0, 0);
  const int signals = hear_of_children();
  WaitingProgram waiting;
  if (signals < 0 || !prepare(waiting)) return 1;
  Order order;
  if (!wait_for_order(waiting.channel) || !receive_order(order) || !apply_all(order)) return 1;
  Life life;
  life.program = waiting.pid;
  const bool tell = start(waiting, order) && live(life, signals, waiting.listener);
  end_the_rest();
  // Last: with this the launcher takes the run for over, and what is left of this process's life
  // (the kernel takes its namespaces down, about a millisecond) delays nobody.
  if (tell) {
    life.denied.tell_totals();
    send_report(life.ended);
  }
  return 0;
}

}  // namespace

}  // namespace tare::sandbox::init

int main() { return tare::sandbox::init::run(); }
