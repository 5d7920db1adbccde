#include "host/runner_scratch.h"

#include <chrono>

#include "host/handshake.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

constexpr fiber::Duration kScratchPatience = 30s;  // beside the handshake's own time

// What the session would be, were it a run that shakes hands.
model::RunRequest scratch_of(const LiveRun& session, const model::Runner& runner) {
  model::RunRequest request = session.run.request;
  request.agent.clear();
  request.version = 0;
  request.session = false;
  request.idempotency_key.clear();
  request.forked_from.clear();
  request.idle_timeout_ms = 0;
  request.checkpoint_interval_ms = 0;
  request.durable = false;
  request.inputs.clear();
  request.argv = runner.manifest.handshake;
  if (runner.manifest.isolated_handshake) request.cwd = handshake_folder(runner.manifest);
  request.runner = runner.reference();
  request.runner_digest = runner.digest;
  request.limits.time_ms = runner.manifest.handshake_ms;
  return request;
}

}  // namespace

Result<> try_in_scratch(const LiveRun& session, const model::Runner& runner, const RunDeps& deps,
                        RunService& runs, const fiber::Context& ctx) {
  NewRun scratch;
  scratch.request = scratch_of(session, runner);
  const auto patience = std::chrono::milliseconds(runner.manifest.handshake_ms) + kScratchPatience;
  const auto created = TRY(runs.create(std::move(scratch)));
  const std::string& id = created.run.id;
  // A good answer is known before the run's end is on the disk; why one is bad is told there.
  if (const auto tried = runs.live(id)) {
    const auto over = [&] { return tried->output_taken || tried->ended_durably(); };
    (void)tried->changed.wait_until(over, ctx.with_timeout(patience));
    if (tried->ended && tried->log &&
        judge_handshake(tried->ended->message.outcome, *tried->log->log))
      return ok();
  }
  const model::Run run = TRY(runs.wait(id, ctx.with_timeout(patience)));
  if (!model::is_terminal(run.state)) (void)runs.kill(id);
  const auto log = TRY(deps.logs.open(id, false));
  return judge_handshake(run.outcome, *log->log).context(id);
}

TrialPorts trial_ports(const RunDeps& deps, RunService& runs) {
  return {.try_in_scratch = [&deps, &runs](const LiveRun& session, const model::Runner& runner,
                                           const fiber::Context& ctx) -> Result<> {
            return try_in_scratch(session, runner, deps, runs, ctx);
          },
          .sessions = [&runs] { return runs.sessions(); }};
}

}  // namespace tare::host
