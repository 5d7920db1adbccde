#include "sandbox/init/execs.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "sandbox/init/order.h"
#include "sandbox/init/program.h"
#include "sandbox/init/raw.h"

namespace tare::sandbox::init {

namespace {

// A tree that forks while it is being killed is looked through again, so often. What still escapes
// is a fork bomb, and that ends with its sandbox.
constexpr int kKillPasses = 16;

struct DirEntry {  // getdents64(2)
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

pid_t number_of(const char* text) {
  pid_t number = 0;
  for (; *text >= '0' && *text <= '9' && number < 100'000'000; ++text)
    number = number * 10 + (*text - '0');
  return *text == '\0' ? number : 0;
}

// Field 6 of /proc/PID/stat, after the name, which may hold anything. 0 for a zombie: it is dead.
pid_t session_of(int proc, const char* name) {
  char path[32];
  const std::size_t size = std::strlen(name);
  if (size + 6 > sizeof path) return 0;
  std::memcpy(path, name, size);
  std::memcpy(path + size, "/stat", 6);
  const Fd file(::openat(proc, path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return 0;
  char text[512];
  const ssize_t n = ::read(file.get(), text, sizeof text - 1);
  if (n <= 0) return 0;
  text[n] = '\0';
  const char* at = std::strrchr(text, ')');
  if (at == nullptr || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') return 0;
  ++at;
  for (int spaces = 0; spaces < 3 && at != nullptr; ++spaces) at = std::strchr(at + 1, ' ');
  if (at == nullptr) return 0;
  pid_t session = 0;
  for (++at; *at >= '0' && *at <= '9'; ++at) session = session * 10 + (*at - '0');
  return session;
}

// One look through all processes; true when there was one to kill.
bool kill_members(pid_t session) {
  const Fd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!proc.valid()) return false;
  bool found = false;
  alignas(DirEntry) char buffer[4096];
  for (;;) {
    const long n = ::syscall(SYS_getdents64, proc.get(), buffer, sizeof buffer);
    if (n <= 0) return found;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const DirEntry*>(buffer + at);
      at += entry->size;
      const pid_t pid = number_of(entry->name);
      if (pid <= 1 || session_of(proc.get(), entry->name) != session) continue;
      found = ::kill(pid, SIGKILL) == 0 || found;
    }
  }
}

void kill_session(pid_t leader) {
  ::kill(leader, SIGKILL);
  for (int pass = 0; pass < kKillPasses && kill_members(leader); ++pass) {
  }
}

}  // namespace

Execs::Exec* Execs::find(std::uint32_t number) {
  for (Exec& exec : execs_) {
    if (exec.pid != 0 && exec.number == number) return &exec;
  }
  return nullptr;
}

void Execs::failed(std::uint32_t number, std::uint32_t step, int error, bool executing) {
  Report report;
  report.kind = ReportKind::exec_failed;
  report.exec = number;
  report.step = step;
  report.error = error;
  report.executing = executing ? 1 : 0;
  send_report(report);
}

void Execs::command(const Command& command, const int* fds) {
  if (command.kind == CommandKind::exec) start(command, fds);
  if (command.kind == CommandKind::signal) signal(command.exec, static_cast<int>(command.argument));
  for (int i = 0; i < kCommandFds; ++i) {
    if (fds[i] >= 0) ::close(fds[i]);
  }
}

void Execs::start(const Command& command, const int* fds) {
  Exec* free = nullptr;
  for (Exec& exec : execs_) {
    if (exec.pid == 0) free = &exec;
  }
  std::string_view plan;
  if (free == nullptr || find(command.exec) != nullptr)
    return failed(command.exec, 0, EBUSY, false);
  if (!map_plan(fds[0], plan)) return failed(command.exec, 0, EBADMSG, false);
  const bool handed_in = (command.argument & kExecHandedIn) != 0;
  const int* stdio = fds + (handed_in ? 2 : 1);
  const int none[3] = {-1, -1, -1};
  const bool terminal = (command.argument & kExecTerminal) != 0;
  int given[3];
  std::memcpy(given, terminal ? none : stdio, sizeof given);
  const ExecChild child = start_exec(plan, handed_in ? fds[1] : -1, given);
  ::munmap(const_cast<char*>(plan.data()), plan.size());
  if (child.error != 0) return failed(command.exec, 0, child.error, false);
  if (!waits_.add(child.channel, &on_channel, this)) {
    ::close(child.channel);  // which ends it
    return failed(command.exec, 0, EBUSY, false);
  }
  *free = {};
  free->pid = child.pid;
  free->number = command.exec;
  free->channel = child.channel;
}

void Execs::signal(std::uint32_t number, int signal) {
  const Exec* exec = find(number);
  if (exec == nullptr || exec->dead) return;  // it has just ended
  if (signal == SIGKILL) return kill_session(exec->pid);
  // Its group; before it has made one, the process.
  if (::kill(-exec->pid, signal) != 0) ::kill(exec->pid, signal);
}

bool Execs::on_channel(void* who, int channel, short) {
  Execs& self = *static_cast<Execs*>(who);
  for (Exec& exec : self.execs_) {
    if (exec.pid != 0 && exec.channel == channel) return self.hear(exec);
  }
  return false;
}

// Without somebody to answer, the kernel refuses by itself, with ENOSYS.
void Execs::answer_for(int listener) {
  if (listener >= 0 && !waits_.add(listener, &serve_listener, &denied_)) ::close(listener);
}

bool Execs::hear(Exec& exec) {
  ExecWords words;
  const ExecSaid said = hear_exec(exec.channel, exec.starting, words);
  if (said == ExecSaid::nothing_yet) return true;
  if (said == ExecSaid::starting) {
    exec.starting = true;
    exec.at_ns = words.at_ns;
    exec.terminal = words.terminal;
    answer_for(words.listener);
    return true;
  }
  ::close(exec.channel);
  exec.channel = -1;
  if (said == ExecSaid::executed) {
    started(exec);
  } else {
    failed(exec.number, words.step, words.error, exec.starting);
  }
  if (exec.terminal >= 0) ::close(exec.terminal);
  exec.terminal = -1;
  // A child that has failed is on its way out, and nobody's.
  if (said == ExecSaid::failed) {
    exec = {};
  } else if (exec.dead) {
    ended(exec);
  }
  return false;
}

void Execs::started(Exec& exec) {
  Report report;
  report.kind = ReportKind::exec_started;
  report.exec = exec.number;
  report.at_ns = exec.at_ns;
  send_report(report, exec.terminal);
}

void Execs::ended(Exec& exec) {
  Report report;
  report.kind = ReportKind::exec_ended;
  report.exec = exec.number;
  report.signalled = WIFSIGNALED(exec.status) ? 1 : 0;
  report.status = WIFSIGNALED(exec.status) ? WTERMSIG(exec.status) : WEXITSTATUS(exec.status);
  report.at_ns = monotonic_ns();
  send_report(report);
  exec = {};
}

void Execs::reaped(pid_t pid, int status) {
  for (Exec& exec : execs_) {
    if (exec.pid != pid || exec.dead) continue;
    exec.dead = true;
    exec.status = status;
    // Else what it has said is heard first: its channel is at its end, so that is soon.
    if (exec.channel < 0) ended(exec);
    return;
  }
}

}  // namespace tare::sandbox::init
