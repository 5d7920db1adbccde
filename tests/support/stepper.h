// Holds a launcher, the maker that acts for it, the tare-init that is made, or the program of that,
// just before one of its system calls: what dies then, dies at a known place. By ptrace alone:
// nothing in the programs helps. One process is followed at a time: the launcher; whichever maker
// acts first; the first tare-init that a maker makes; the first process that this makes, up to its
// execve; the first tare-files that a tare-init makes, to its end; the first process that a maker
// forks to do something for it (an exchange of runners). Between two calls a process only changes
// its own memory, so "before each call" is every state that anybody else can see.
//
// Process: the test's, as root, single-threaded; SIGCHLD is blocked while a Stepper lives. A
// process that does nothing for 20 s is an exception (tests stop at once). What never happens: a
// process stays traced or held after the Stepper. Source: ptrace(2).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tare::testing {

enum class Stepped { launcher, maker, init, program, helper, files };
const char* name_of(Stepped who);

struct Stop {
  Stepped who = Stepped::launcher;
  pid_t pid = 0;
  int number = 0;     // of this call since it was idle, or since birth; from 1
  long call = -1;     // held before it
  long earlier = -1;  // the one before that
  int reports = 0;    // that tare-init has sent: prepared, started, ended
  std::string text() const;
};

// A tare-init, or the program's process in it, that waits for an order. Of a tare-init what is
// stepped may also be the next process that it makes: `program`, `files`.
struct Waiting {
  pid_t pid = 0;
};

class [[nodiscard]] Stepper {
 public:
  // `launcher` is a child of this process; it and its makers are idle. Tracing `init` or `program`
  // begins with the next sandbox that is made, tracing `helper` with the next that is forked.
  Stepper(pid_t launcher, Stepped who);
  Stepper(Waiting process, Stepped who);
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;
  ~Stepper();

  // Asked whenever it is about to wait for an event, an order, or the program's end.
  using Over = std::function<bool(const Stop&)>;
  // Lets it run until it is about to make its `number`-th call, and holds it there. Absent when it
  // was over before: `over` said yes; it has ended; the program is executed.
  std::optional<Stop> run_to(int number, const Over& over);
  // Until it is over. How many calls it made.
  int count(const Over& over);

  // The call that it is held before is not made, and answers with this errno.
  void refuse(int error);
  // Waits for the death of the held process, by somebody else's hand. False when it does not come.
  bool dies(int timeout_ms);
  void let_go();

 private:
  enum class Happened { nothing, death, call, made_child, executed, other };
  struct Event {
    Happened what = Happened::nothing;
    int signal = 0;  // to be delivered when it goes on
    pid_t pid = 0;   // whose
  };
  void seize(pid_t pid);
  void run_to_idle(pid_t pid);
  static Event take(pid_t pid, int status);
  Event next(const std::vector<pid_t>& of, int timeout_ms);
  Event expect(const std::vector<pid_t>& of);
  void choose(pid_t pid);
  void go_on(int signal);
  pid_t newborn(pid_t parent);
  void follow();
  bool enters_call();
  bool waits() const;
  void detach(pid_t pid, bool held, int signal);
  Stop stop() const;

  Stepped who_, traced_;
  std::vector<pid_t> watched_;  // one, or all makers until one of them has acted
  pid_t pid_ = 0;               // of the last event
  bool held_ = false;
  int signal_ = 0;
  int calls_ = 0, reports_ = 0;
  long call_ = -1, earlier_ = -1, call_fd_ = -1;
  sigset_t old_signals_;
};

// The processes that a launcher has now.
std::vector<pid_t> children_of(pid_t launcher);
std::vector<pid_t> makers_of(pid_t launcher);
// The first process of a PID namespace of its own.
bool is_init(pid_t pid);
// The first processes of all sandboxes of a home.
std::vector<pid_t> inits_of(const std::string& home);

}  // namespace tare::testing
