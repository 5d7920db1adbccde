// Holds a launcher, the tare-init that it makes, or the program of that, just before one of its
// system calls: what dies then, dies at a known place. By ptrace alone: nothing in the programs
// helps. One process is traced at a time: the launcher until it has made tare-init, that until it
// has made the program. Between two calls a process only changes its own memory, so "before each
// call" is every state that anybody else can see.
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

namespace tare::testing {

enum class Stepped { launcher, init, program };

struct Stop {
  Stepped who = Stepped::launcher;
  pid_t pid = 0;
  int number = 0;     // of this call since the launcher was idle, or since birth; from 1
  long call = -1;     // held before it
  long earlier = -1;  // the one before that
  int reports = 0;    // that tare-init has sent
  std::string text() const;
};

class [[nodiscard]] Stepper {
 public:
  // `launcher` is a child of this process and idle: it waits for events. Tracing `init` or
  // `program` begins with the next sandbox that it makes.
  Stepper(pid_t launcher, Stepped who);
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;
  ~Stepper();

  // Lets it run until it is about to make its `number`-th call, and holds it there. Absent when it
  // was over before: it waits for events and `over` says yes; tare-init has ended; the program is
  // executed.
  std::optional<Stop> run_to(int number, const std::function<bool()>& over = {});
  // Until it is over. How many calls it made.
  int count(const std::function<bool()>& over = {});

  // Waits for the death of the held process, by somebody else's hand. False when it does not come.
  bool dies(int timeout_ms);
  void let_go();

 private:
  enum class Happened { nothing, death, call, made_child, executed, other };
  struct Event {
    Happened what = Happened::nothing;
    int signal = 0;  // to be delivered when it goes on
  };
  Event next(pid_t pid, int timeout_ms);
  Event expect(pid_t pid);
  void go_on(int signal);
  void run_to_idle();
  void follow();
  bool enters_call();
  Stop stop() const;

  Stepped who_, traced_ = Stepped::launcher;
  pid_t pid_;
  bool held_ = false;
  int signal_ = 0;
  int calls_ = 0, reports_ = 0;
  long call_ = -1, earlier_ = -1, call_fd_ = -1;
  sigset_t old_signals_;
};

}  // namespace tare::testing
