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
// are the three descriptors that the program gets.
StartedProgram start_program(const WaitingProgram& waiting, int plan_fd, int gate,
                             const int (&stdio)[3]);

std::uint64_t monotonic_ns();

}  // namespace tare::sandbox::init
