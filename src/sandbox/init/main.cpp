// tare-init: PID 1 of a sandbox. Static, single-threaded, no allocation. Born by tare-launcher as
// root of a new user namespace; applies the plan, starts the program, reaps, and ends when the
// program does: then the kernel ends all that is left. It holds nothing worth stealing: one socket
// to the launcher, and after `settle` three capabilities.
//
//   base plan -> apply: an empty sandbox -> wait for the order -> apply the run's steps -> start the
//   program -> reap until it ends -> kill the rest
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
#include "sandbox/init/program.h"
#include "sandbox/init/raw.h"
#include "sandbox/launch/report.h"
#include "sandbox/plan/reader.h"

namespace tare::sandbox::init {

namespace {

struct Order {
  std::string_view plan;
  int stdio[3] = {-1, -1, -1};
  int input = -1;
};

constexpr int kBaseFds = 1;                     // the plan
constexpr int kOrderFds = 4, kMaxOrderFds = 5;  // the plan, stdio, perhaps the input

void send_report(const Report& report) {
  // A launcher that is gone cannot be told; PDEATHSIG and the poll in reap_until end this process
  // then.
  (void)::send(kControlFd, &report, sizeof report, MSG_NOSIGNAL);
}

// The plan's bytes, mapped.
bool map_plan(int fd, std::string_view& plan) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0 || status.st_size <= 0 || status.st_size > kMaxPlanBytes)
    return false;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (bytes == MAP_FAILED) return false;
  plan = {static_cast<const char*>(bytes), size};
  return true;
}

// One packet of one byte, kBaseByte or kOrderByte, with its descriptors (launch/report.h).
bool receive_order(char kind, Order& order) {
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxOrderFds)];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n = -1;
  do {
    n = ::recvmsg(kControlFd, &header, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (n != 1 || byte != kind || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      rights == nullptr || rights->cmsg_type != SCM_RIGHTS) {
    return false;
  }
  const auto count = static_cast<int>((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  const bool expected = kind == kBaseByte ? count == kBaseFds
                                          : count == kOrderFds || count == kMaxOrderFds;
  if (!expected) return false;
  int fds[kMaxOrderFds];
  std::memcpy(fds, CMSG_DATA(rights), sizeof(int) * static_cast<std::size_t>(count));
  if (kind == kOrderByte) std::memcpy(order.stdio, fds + 1, sizeof order.stdio);
  if (count == kMaxOrderFds) order.input = fds[kOrderFds];
  return map_plan(fds[0], order.plan);
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

bool start(const Order& order, pid_t& program) {
  const StartedProgram started = start_program(order.plan, order.stdio);
  for (const int fd : order.stdio) ::close(fd);
  program = started.pid;
  Report report;
  if (started.executed) {
    report.kind = ReportKind::started;
    report.at_ns = started.at_ns;
    send_report(report);
    return true;
  }
  const bool was_exec = started.step == PlanReader(order.plan).steps();
  report.kind = was_exec ? ReportKind::not_executed : ReportKind::step_failed;
  report.step = started.step;
  report.error = started.error;
  send_report(report);
  return false;
}

// Takes every zombie there is. True when the program was among them.
bool reap(pid_t program, Report& report) {
  bool ended = false;
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return ended;
    if (pid != program) continue;
    ended = true;
    report.kind = ReportKind::ended;
    report.signalled = WIFSIGNALED(status) ? 1 : 0;
    report.status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    report.at_ns = monotonic_ns();
  }
}

void reap_until_end(pid_t program, int signals) {
  Report report;
  pollfd waits[2] = {{signals, POLLIN, 0}, {kControlFd, POLLIN, 0}};
  while (!reap(program, report)) {
    if (::poll(waits, 2, -1) < 0 && errno != EINTR) return;
    signalfd_siginfo info;
    while (::read(signals, &info, sizeof info) > 0) {
    }
    if ((waits[1].revents & (POLLHUP | POLLERR)) != 0) return;  // the launcher is gone
  }
  send_report(report);
}

// All that is left: daemons that forked away twice, background jobs.
void end_the_rest() {
  ::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
}

int run() {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_NAME, "tare-init", 0, 0, 0);
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const int signals = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  Order base;
  if (signals < 0 || !receive_order(kBaseByte, base) || !apply_all(base)) return 1;
  Report ready;
  ready.kind = ReportKind::prepared;
  send_report(ready);
  Order order;
  if (!receive_order(kOrderByte, order) || !apply_all(order)) return 1;
  if (order.input >= 0) ::close(order.input);
  pid_t program = -1;
  if (start(order, program)) reap_until_end(program, signals);
  end_the_rest();
  return 0;
}

}  // namespace

}  // namespace tare::sandbox::init

int main() { return tare::sandbox::init::run(); }
