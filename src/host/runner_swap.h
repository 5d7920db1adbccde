// RunnerSwap: gives a live session another runner.
//
//   1 find      the session, and the runner, are there
//   2 validate  its handshake, in a scratch sandbox of the same environment: nothing has happened
//               yet
//   3 announce  what it is to have is on the disk, unconfirmed, with what it has
//   4 exchange  the launcher has a maker stop the sandbox, mount the new one over the old one, and
//               kill all that ran in it (make/exchange.h); then it goes on
//   5 confirm   the handshake again, inside
//   6 record    it is on the disk, confirmed
//
// Until 4 begins a failure leaves the session as it was. From there on any failure discards its
// sandbox: no program goes on with a runner that is not known to be whole. What the session had
// changed is kept (RunDriver::keep_discarded), it hibernates, and the next request wakes it in a
// fresh sandbox with the runner that it had before. A tared that dies between 3 and 6 leaves a
// record that is not confirmed: the next one discards the sandbox.
//
// Owner: main. Loop thread only. Errors: not_found; conflict with the reason, which says what has
// become of the session.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "fiber/context.h"
#include "host/exec_service.h"
#include "host/run_service.h"
#include "host/runners.h"

namespace tare::host {

class RunnerSwap {
 public:
  // `ctx`: of the service. A client that goes away in the middle stops nothing.
  RunnerSwap(const RunDeps& deps, RunService& runs, ExecService& execs, Runners& runners,
             const fiber::Context& ctx)
      : deps_(deps), runs_(runs), execs_(execs), runners_(runners), ctx_(ctx) {}

  // `wanted`: "" for the version that was added last, of the runner that the session has.
  Result<model::Runner> swap(const std::string& session, const std::string& wanted);

 private:
  Result<std::shared_ptr<LiveRun>> find(const std::string& session);
  model::SessionRunner runner_of(const LiveRun& live) const;
  Result<model::Runner> find_runner(const LiveRun& live, const std::string& wanted);
  Result<> validate(const LiveRun& live, const model::Runner& runner);
  Result<> try_in_scratch(const LiveRun& live, const model::Runner& runner);
  Result<> announce(const LiveRun& live, const model::SessionRunner& runner);
  Result<> exchange(LiveRun& live, const model::Runner& runner);
  Result<> confirm(LiveRun& live, const model::Runner& runner);
  Result<> put_back(LiveRun& live);
  Error discard(LiveRun& live, Error why);

  const RunDeps& deps_;
  RunService& runs_;
  ExecService& execs_;
  Runners& runners_;
  const fiber::Context& ctx_;
  std::set<std::string> validated_;  // runner and environment, of those that are frozen
};

}  // namespace tare::host
