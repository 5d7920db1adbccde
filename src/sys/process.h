// Processes by descriptor, never by number: a pidfd names one process for ever, a pid can be
// reused. Sources: clone3 (clone(2)), pidfd_open(2), pidfd_send_signal(2), waitid(2) P_PIDFD.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sys {

struct ExitStatus {
  bool signalled = false;
  int code = 0;  // exit code, or the signal's number
};

// A child process of ours. The destructor kills and reaps it.
class [[nodiscard]] Child {
 public:
  Child() = default;
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}
  Child& operator=(Child&& other) noexcept;
  ~Child();

  bool valid() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }

  Result<> signal(int number) const;
  // Has it ended? Without taking the zombie away, so that /proc/<pid> can still be read.
  Result<std::optional<ExitStatus>> peek() const;
  // Waits for the end, reaps, and gives up ownership. `usage` (may be null) covers it and all it
  // has reaped.
  Result<ExitStatus> wait(rusage* usage);

 private:
  pid_t pid_ = 0;
  UniqueFd pidfd_;
};

// By number: only for a process that cannot be reaped, or whose number cannot be reused, meanwhile.
// Fine when it is gone.
Result<> signal_number(pid_t pid, int number);

// Of the process, whose threads are yet to come, and of its session where the kernel weighs those
// against each other (sched(7), autogroup): -20 before all others, 19 behind them. To raise it
// takes CAP_SYS_NICE.
Result<> set_priority(pid_t pid, int nice);

// Blocks a single-threaded program that has nothing else to do. Not for anything that serves.
void pause_ms(int ms);

// clone3 with CLONE_PIDFD. Returns an invalid Child in the child process. `flags` are CLONE_NEW*
// flags; `cgroup` (>= 0) is for CLONE_INTO_CGROUP. The caller must be single-threaded, and the
// child may only make async-signal-safe calls until it execs.
Result<Child> clone_child(std::uint64_t flags, int cgroup = -1);

// A process that the caller has made for its own parent: only that one can reap it.
struct ForeignChild {
  pid_t pid = 0;
  UniqueFd pidfd;
};
// As clone_child, with CLONE_PARENT: `pid` is 0 in the new process. It dies with nobody by itself:
// PR_SET_PDEATHSIG there means the caller's parent.
Result<ForeignChild> clone_sibling(std::uint64_t flags, int cgroup = -1);

// pidfd_send_signal(2).
Result<> signal_process(int pidfd, int number);

}  // namespace tare::sys
