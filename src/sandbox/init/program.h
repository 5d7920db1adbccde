// The agent's program: a child of tare-init that is made ready by the program steps of the base
// plan (its ids, its filter: what takes time), waits, and becomes the program by those of the run's
// plan.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "sandbox/plan/plan.h"

namespace tare::sandbox::init {

struct StartedProgram {
  pid_t pid = -1;
  int error = 0;  // errno when it could not be started
  // The step that failed; the number of `execute` when it was execve itself; 0 when there was no
  // process, or it was killed (EIO).
  std::uint32_t step = 0;
  bool executed = false;      // false with step == execute: not_executed
  std::uint64_t at_ns = 0;    // CLOCK_MONOTONIC just before execve
  std::uint64_t gate_ns = 0;  // how long it waited at the gate
};

struct WaitingProgram {
  pid_t pid = -1;
  int channel = -1;   // a socket to it
  int listener = -1;  // where its filter hands over what is refused; -1: the host allows none
  int error = 0;      // errno when it could not be made ready
  std::uint32_t step = 0;
};

// `plan` is the whole encoded base plan.
WaitingProgram prepare_program(std::string_view plan);
// `plan_fd` is the run's plan; the gate is where the program waits for a byte before execve; stdio
// are the three descriptors that the program gets; `report` (>= 0) is what it gets as kReportFd.
StartedProgram start_program(const WaitingProgram& waiting, int plan_fd, int gate,
                             const int (&stdio)[3], int report);

// An exec: a child that takes ids, filter and the rest by the steps of its plan, and executes.
struct ExecChild {
  pid_t pid = -1;
  int channel = -1;  // non-blocking; what it says is heard by hear_exec
  int error = 0;     // errno when there is none
};
// `program`: the descriptor to execute, or -1; stdio: -1 each when the plan makes a terminal. All
// stay the caller's.
ExecChild start_exec(std::string_view plan, int program, const int (&stdio)[3]);

enum class ExecSaid { nothing_yet, starting, executed, failed };
struct ExecWords {
  std::uint64_t at_ns = 0;  // of starting: just before execve
  int terminal = -1;        // of starting: the terminal's master, the caller's from here on
  int listener = -1;        // of starting: likewise, where its filter hands over what is refused
  std::uint32_t step = 0;   // of failed
  int error = 0;            // of failed; EIO: it was killed before it could say anything
};
// The next word of the child. `was_starting`: it has said so before.
ExecSaid hear_exec(int channel, bool was_starting, ExecWords& words);

std::uint64_t monotonic_ns();

}  // namespace tare::sandbox::init
