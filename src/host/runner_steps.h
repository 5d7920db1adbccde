// The steps of a swap (runner_swap.h) as they are done in a live session.
//
// Owner: main. Loop thread only. Errors: of what each works with.
#pragma once

#include "fiber/context.h"
#include "host/exec_service.h"
#include "host/run_service.h"
#include "host/runner_swap.h"
#include "host/runner_trials.h"
#include "host/runners.h"
#include "host/sandbox_files.h"

namespace tare::host {

struct SwapTools {
  const RunDeps& deps;
  RunService& runs;
  ExecService& execs;
  SandboxFiles& files;
  Runners& runners;
  RunnerTrials& trials;
};

// All that is in `tools`, and `ctx`, outlive what is returned.
SwapPorts swap_ports(const SwapTools& tools, const fiber::Context& ctx);

}  // namespace tare::host
