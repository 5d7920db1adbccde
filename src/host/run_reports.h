// What the program of a run reports (model/run_report.h): from its pipe to the run's folder, and
// at the end into its record. Hostile input: bounded, paced, never believed.
//
// Loop thread only.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "fiber/context.h"
#include "host/live_run.h"
#include "host/run_deps.h"

namespace tare::host {

// Until the pipe is at its end or ctx ends. A report that cannot be kept is noted with the run's
// end, and the rest is dropped: it holds nobody up.
void take_reports(LiveRun& live, const Logger& log, const fiber::Context& ctx);
// The run has ended. Also for one whose pipe a tared before us has read.
void finish_report(LiveRun& live, const RunDeps& deps);
Result<> record_report(runs::Store& store, const LiveRun& live);

}  // namespace tare::host
