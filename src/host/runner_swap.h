// RunnerSwap: gives a live session another runner.
//
//   1 find      the session, and the runner, are there
//   2 validate  its handshake, in a scratch sandbox of the same environment, now or remembered
//               (runner_trials.h): nothing has happened yet
//   3 announce  what it is to have is on the disk, unconfirmed, with what it has
//   4 exchange  the launcher has a maker stop the sandbox, mount the new one over the old one, see
//               that this is what a name finds there, and kill all that ran in it
//               (make/exchange.h); then it goes on
//   5 confirm   a program is started inside, as any other, and finds that version there. Where the
//               answer of 2 may not hold for this session, the handshake is made again, inside: the
//               session has changed its environment, its variables lead into its own folders, or
//               the runner does not declare that nothing else counts (isolated_handshake)
//   6 record    it is on the disk, confirmed
//
// Until 4 begins a failure leaves the session as it was. From there on any failure discards its
// sandbox: no program goes on with a runner that is not known to be whole. What the session had
// changed is kept (RunDriver::keep_discarded), it hibernates, and is woken in a fresh sandbox with
// the runner that it had before, and all of this is done once more there. What fails in kTries
// sandboxes is given up: the next request wakes it with the runner of before. Meanwhile execs wait.
// When it cannot be kept, that is told, and it is held until it can; nothing is done with an older
// state of it. A tared that dies between 3 and 6 leaves a record that is not confirmed: the next
// one discards the sandbox.
//
// The steps themselves are SwapPorts: runner_steps.h has the real ones.
//
// Owner: main. Loop thread only. Errors: not_found; conflict with the reason, which says what has
// become of the session.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "fiber/context.h"
#include "host/layer_gate.h"
#include "host/live_run.h"
#include "model/runner.h"
#include "model/session_runner.h"

namespace tare::host {

// None is a nullptr. `live` and `end_sandbox` do not wait.
struct SwapPorts {
  std::function<std::shared_ptr<LiveRun>(const std::string& id)> live;
  // One that hibernates is woken.
  std::function<Result<std::shared_ptr<LiveRun>>(const std::string& id)> running;
  std::function<Result<model::Runner>(const model::RunnerRef& ref)> find;
  std::function<Result<>(const LiveRun& live, const model::Runner& runner)> validate;
  // Nothing is just being started in it any more.
  std::function<Result<>(const LiveRun& live)> settle;
  std::function<Result<>(const LiveRun& live, const model::SessionRunner& runner)> record;
  // Its answer: is the environment what the runner was tried in? `touched`: the error has cost the
  // sandbox.
  std::function<Result<bool>(LiveRun& live, const model::Runner& runner, bool& touched)> exchange;
  std::function<Result<>(LiveRun& live, const model::Runner& runner, bool as_made)> confirm;
  std::function<void(const std::string& id)> end_sandbox;
};

class RunnerSwap {
 public:
  static constexpr int kTries = 2;
  // For what a discarded sandbox has written to be on the disk, or held.
  static constexpr std::chrono::seconds kKeepPatience{15};

  // `ctx`: of the service. A client that goes away in the middle stops nothing.
  RunnerSwap(SwapPorts ports, LayerGate& layers, const Logger& log, const fiber::Context& ctx)
      : ports_(std::move(ports)), layers_(layers), log_(log), ctx_(ctx) {}

  // `wanted`: "" for the version that was added last, of the runner that the session has.
  Result<model::Runner> swap(const std::string& session, const std::string& wanted);

 private:
  Result<std::shared_ptr<LiveRun>> find(const std::string& session);
  model::SessionRunner runner_of(const LiveRun& live) const;
  Result<model::Runner> find_runner(const LiveRun& live, const std::string& wanted);
  // Steps 3 to 6 in the sandbox that it has now. `discarded`: the error has cost it.
  Result<> change(LiveRun& live, const model::Runner& runner, bool& discarded);
  // true: the environment is what the runner was tried in.
  Result<bool> exchange(LiveRun& live, const model::Runner& runner, std::uint32_t sandbox,
                        bool& discarded);
  Result<> put_back(LiveRun& live);
  Error discard(LiveRun& live, std::uint32_t sandbox, const Error& why);

  SwapPorts ports_;
  LayerGate& layers_;
  const Logger& log_;
  const fiber::Context& ctx_;
};

// Does a variable of a session's lead into a folder that it can change unseen? Pure.
bool leads_into_its_own(const std::vector<std::string>& variables);

}  // namespace tare::host
