// Everything a launch takes, made before the launcher is told: the plans in sealed memfds, the
// run's inputs, the gate and the pipes. Nothing here waits; what is made and not used
// goes with the folder.
#pragma once

#include <vector>

#include "base/result.h"
#include "host/live_run.h"
#include "host/run_deps.h"
#include "sandbox/plan/compile.h"

namespace tare::host {

// What a sandbox of `spec` is made from, and its base plan.
struct SandboxOrder {
  sandbox::SandboxBase base;
  sys::UniqueFd plan;
};
Result<SandboxOrder> sandbox_order(const model::SandboxSpec& spec, const RunDeps& deps);

struct LaunchParts {
  sandbox::LaunchMessage message;
  std::vector<sys::UniqueFd> fds;  // in the order of LaunchMessage
  std::vector<int> borrowed() const;
  sys::UniqueFd gate;  // a byte into it lets the program begin
  // What the program does reaches nobody but through tared: no network.
  bool shut_in = false;
};

// Both plans of a run. Pure but for the filter.
Result<sandbox::Plans> plans_of(const model::SandboxSpec& spec, const Filters& filters);

// Also sets our ends of the run's pipes.
Result<LaunchParts> prepare_launch(LiveRun& live, const RunDeps& deps);

// The run's folder, with its log, made or found.
Result<> open_output(LiveRun& live, const RunDeps& deps);

}  // namespace tare::host
