// tare-init: PID 1 of a sandbox. Static, single-threaded, no allocation. Born by tare-launcher as
// root of a new user namespace; applies the plan, starts the program, reaps, and ends when the
// program does: then the kernel ends all that is left. It holds nothing worth stealing: one socket
// to the launcher, and after `settle` three capabilities.
//
//   base plan -> apply: an empty sandbox -> wait for the order -> apply the run's steps -> start
//   the program -> reap, answer what is refused, and serve execs, until it ends -> kill the rest
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
#include "sandbox/init/execs.h"
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
  int input = -1, report = -1;
};

// The base plan, alone.
bool receive_base(Order& base) {
  char byte = 0;
  return receive_fds(kControlFd, byte, &base.plan_fd, 1, 1) && byte == kBaseByte &&
         map_plan(base.plan_fd, base.plan);
}

// The run's plan, the gate, the program's stdio, perhaps the input, perhaps the report.
bool receive_order(Order& order) {
  char byte = 0;
  int fds[7];
  if (!receive_fds(kControlFd, byte, fds, 5, 7)) return false;
  if (byte != kOrderByte && byte != kOrderWithReportByte) return false;
  if (byte == kOrderWithReportByte) {
    int& last = fds[6] >= 0 ? fds[6] : fds[5];
    order.report = last;
    last = -1;
  }
  order.plan_fd = fds[0];
  order.gate = fds[1];
  std::memcpy(order.stdio, fds + 2, sizeof order.stdio);
  order.input = fds[5];
  return map_plan(order.plan_fd, order.plan);
}

// The sandbox's own steps. False when one failed; it has been reported then. `session`: the plan
// ends with `serve`.
bool apply_all(const Order& order, bool& session) {
  PlanReader reader(order.plan);
  StepView step;
  Report report;
  while (reader.next(step)) {
    if (is_program_step(step.op)) continue;
    session = step.op == Op::serve;
    if (session) continue;
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
  bool session = false;
  if (!receive_base(base) || !apply_all(base, session)) return false;
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

void close_all(const Order& order) {
  for (const int fd : {order.stdio[0], order.stdio[1], order.stdio[2], order.plan_fd, order.gate,
                       order.input, order.report}) {
    if (fd >= 0) ::close(fd);
  }
}

bool start(const WaitingProgram& waiting, const Order& order) {
  const StartedProgram started = start_program(waiting, order.plan_fd, order.gate, order.stdio,
                                               order.report);
  close_all(order);
  ::close(waiting.channel);
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

// A session has no program: the process that waited to become one ends, and this one waits at the
// gate itself.
bool start_session(const WaitingProgram& waiting, const Order& order) {
  ::close(waiting.channel);
  const std::uint64_t before_ns = monotonic_ns();
  char byte = 0;
  ssize_t n = -1;
  do {
    n = ::read(order.gate, &byte, 1);
  } while (n < 0 && errno == EINTR);
  close_all(order);
  Report report;
  report.kind = n == 1 ? ReportKind::started : ReportKind::step_failed;
  report.step = n == 1 ? 0 : PlanReader(order.plan).steps();
  report.error = n == 1 ? 0 : kGateClosed;
  report.at_ns = monotonic_ns();
  report.gate_ns = report.at_ns - before_ns;
  send_report(report);
  return n == 1;
}

// The sandbox's life from the program's start to its end.
struct Life {
  pid_t program = -1;  // 0: a session has none
  Report ended;
  bool over = false;      // the program has ended
  bool orphaned = false;  // the launcher is gone
  DeniedCalls denied;
  Waits waits;
  Execs execs{waits, denied};
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
    if (pid != life.program) {
      life.execs.reaped(pid, status);
      continue;
    }
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

// Commands for execs, a bounded number; it closes when the launcher is gone.
bool on_control(void* who, int, short events) {
  constexpr int kMostCommands = 16;
  Life& life = *static_cast<Life*>(who);
  life.orphaned = (events & (POLLHUP | POLLERR)) != 0;
  Command command;
  int fds[kCommandFds];
  for (int i = 0; i < kMostCommands && !life.orphaned; ++i) {
    if (!receive_command(command, fds, life.orphaned)) break;
    life.execs.command(command, fds);
  }
  return !life.orphaned;
}

// All that is left: daemons that forked away twice, background jobs.
void end_the_rest() {
  ::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
}

// True when the program has ended, and somebody is there to be told.
bool live(Life& life, int signals, int listener) {
  Waits& waits = life.waits;
  if (!waits.add(signals, &on_signal, &life) || !waits.add(kControlFd, &on_control, &life))
    return false;
  if (listener >= 0 && !waits.add(listener, &serve_listener, &life.denied)) return false;
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
  bool session = false;
  if (!wait_for_order(waiting.channel) || !receive_order(order) || !apply_all(order, session))
    return 1;
  static Life life;
  life.program = session ? 0 : waiting.pid;
  const bool started = session ? start_session(waiting, order) : start(waiting, order);
  const bool tell = started && live(life, signals, waiting.listener);
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
