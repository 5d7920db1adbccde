// A runner's handshake in a scratch sandbox: of the same environment as a session's, with the same
// variables, user and limits.
//
// Owner: main. Loop thread only. Errors: conflict with what the runner did instead; those of a run
// that cannot be made. What never happens: anything of the session is touched.
#pragma once

#include "base/result.h"
#include "fiber/context.h"
#include "host/live_run.h"
#include "host/run_service.h"
#include "host/runner_trials.h"
#include "model/runner.h"

namespace tare::host {

// When `ctx` ends the trial goes on, and nobody waits for it.
Result<> try_in_scratch(const LiveRun& session, const model::Runner& runner, const RunDeps& deps,
                        RunService& runs, const fiber::Context& ctx);
// Both outlive what is returned.
TrialPorts trial_ports(const RunDeps& deps, RunService& runs);

}  // namespace tare::host
