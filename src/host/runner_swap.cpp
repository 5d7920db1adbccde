#include "host/runner_swap.h"

#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tare::host {

namespace {

using namespace std::chrono_literals;

constexpr fiber::Duration kScratchPatience = 30s;  // beside the handshake's own time
constexpr fiber::Duration kSettlePatience = 10s;
constexpr std::size_t kMostValidated = 1024;

// While it is alive the flag is set.
class Flag {
 public:
  Flag(LiveRun& live, bool LiveRun::* flag) : live_(live), flag_(flag) { live_.*flag_ = true; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;
  ~Flag() {
    live_.*flag_ = false;
    live_.changed.notify_all();
  }

 private:
  LiveRun& live_;
  bool LiveRun::* flag_;
};

// One byte more than a handshake may have, so that a longer one is seen.
std::string said(const runs::OutputLog& log) {
  std::string text(model::kMaxHandshakeBytes + 1, '\0');
  const auto bytes = std::as_writable_bytes(std::span(text));
  text.resize(log.read_at(runs::Stream::out, 0, bytes).value_or(0));
  return text;
}

Result<> judge(const std::optional<model::Outcome>& outcome, const runs::OutputLog& log) {
  if (!outcome) return Error{Errc::timeout, "the handshake does not end"};
  if (outcome->reason != model::EndReason::exited || outcome->exit_code != 0) {
    const std::string how = outcome->message.empty()
                                ? fmt::format("with status {}", outcome->exit_code)
                                : outcome->message;
    return Error{Errc::conflict, "the handshake failed: " + how};
  }
  return model::read_handshake(said(log));
}

std::string what_it_needs(const model::Runner& runner) {
  if (runner.manifest.needs.empty()) return {};
  return fmt::format(" (it needs {})", fmt::join(runner.manifest.needs, ", "));
}

}  // namespace

Result<std::shared_ptr<LiveRun>> RunnerSwap::find(const std::string& session) {
  const auto there = runs_.live(session);
  if (there && !there->run.request.session)
    return Error{Errc::conflict, session + " is a run: it keeps the runner that it began with"};
  if (there && there->run.request.runner.empty())
    return Error{Errc::conflict, session + " was made without a runner"};
  auto live = TRY(runs_.running(session, ctx_));  // one that hibernates is woken
  if (live->getting_runner) return Error{Errc::conflict, session + " gets another runner already"};
  return live;
}

model::SessionRunner RunnerSwap::runner_of(const LiveRun& live) const {
  if (live.runner) return *live.runner;
  return {live.run.request.runner, live.run.request.runner_digest, true, {}, {}};
}

Result<model::Runner> RunnerSwap::find_runner(const LiveRun& live, const std::string& wanted) {
  const auto now = TRY(model::parse_runner_ref(runner_of(live).reference));
  const auto ref = wanted.empty() ? model::RunnerRef{now.name, ""}
                                  : TRY(model::parse_runner_ref(wanted));
  if (ref.name == now.name) return runners_.get(ref);
  return field_error("runner", fmt::format("the session has {}, and cannot get {}: make another "
                                           "session for it",
                                           now.name, ref.name));
}

Result<> RunnerSwap::try_in_scratch(const LiveRun& live, const model::Runner& runner) {
  NewRun scratch;
  scratch.request = live.run.request;
  model::RunRequest& request = scratch.request;
  request.agent.clear();
  request.version = 0;
  request.session = false;
  request.idempotency_key.clear();
  request.forked_from.clear();
  request.idle_timeout_ms = 0;
  request.inputs.clear();
  request.argv = runner.manifest.handshake;
  request.runner = runner.reference();
  request.runner_digest = runner.digest;
  request.limits.time_ms = runner.manifest.handshake_ms;
  const auto patience = std::chrono::milliseconds(runner.manifest.handshake_ms) + kScratchPatience;
  const auto created = TRY(runs_.create(std::move(scratch)));
  const std::string& id = created.run.id;
  // A good answer is known before the run's end is on the disk; why one is bad is told there.
  if (const auto tried = runs_.live(id)) {
    const auto over = [&] { return tried->output_taken || tried->ended_durably(); };
    (void)tried->changed.wait_until(over, ctx_.with_timeout(patience));
    if (tried->ended && tried->log && judge(tried->ended->message.outcome, *tried->log->log))
      return ok();
  }
  const model::Run run = TRY(runs_.wait(id, ctx_.with_timeout(patience)));
  if (!model::is_terminal(run.state)) (void)runs_.kill(id);
  const auto log = TRY(deps_.logs.open(id, false));
  return judge(run.outcome, *log->log).context(id);
}

Result<> RunnerSwap::validate(const LiveRun& live, const model::Runner& runner) {
  const model::RunRequest& request = live.run.request;
  const std::string key = fmt::format("{} {} {} {}", runner.digest,
                                      fmt::join(layers_of(live.run), " "), request.user,
                                      request.profile);
  // The host's own files may be others by now.
  const bool frozen = !request.environment_digest.empty();
  if (frozen && validated_.contains(key)) return ok();
  if (auto tried = try_in_scratch(live, runner); !tried) {
    return Error{Errc::conflict,
                 fmt::format("runner {} is no good in this environment{}: {}", runner.reference(),
                             what_it_needs(runner), tried.error().message)};
  }
  if (validated_.size() >= kMostValidated) validated_.clear();
  if (frozen) validated_.insert(key);
  return ok();
}

Result<> RunnerSwap::announce(const LiveRun& live, const model::SessionRunner& runner) {
  return deps_.records.run(
      [&](runs::Store& store) { return store.put_session_runner(kTenant, live.run.id, runner); });
}

Result<> RunnerSwap::put_back(LiveRun& live) {
  live.runner = model::known_good(*live.runner);
  return announce(live, *live.runner);
}

// What may have been begun is not left to itself. (What it knows to be half the launcher has ended
// already.)
Error RunnerSwap::discard(LiveRun& live, Error why) {
  const std::string& id = live.run.id;
  const std::string text = "its runner could not be changed: " + why.message;
  deps_.log.error("a session's sandbox is discarded", why, {{"run", id}});
  live.add_note(text);
  live.discarded = true;
  live.notify();
  runs_.end_sandbox(id);
  (void)live.changed.wait_until([&] { return !live.is_going() || live.ended_durably(); }, ctx_);
  if (live.ended_durably()) return Error{Errc::conflict, fmt::format("{} has ended: {}", id, text)};
  return Error{Errc::conflict,
               fmt::format("{}: {}. Its sandbox was discarded; its files are kept, and it goes on "
                           "in a fresh one with {} when something is done in it",
                           id, text, runner_of(live).reference)};
}

Result<> RunnerSwap::exchange(LiveRun& live, const model::Runner& runner) {
  bool touched = false;
  auto done = deps_.launcher.swap(live.run.id, runner.digest, touched, ctx_);
  if (done) return ok();
  if (touched) return discard(live, std::move(done).error());
  TRY(put_back(live));
  return done;
}

Result<> RunnerSwap::confirm(LiveRun& live, const model::Runner& runner) {
  model::ExecRequest request{.argv = runner.manifest.handshake};
  const auto exec = TRY(execs_.create_while_changing(live.run.id, std::move(request), ctx_));
  const auto patience = ctx_.with_timeout(std::chrono::milliseconds(runner.manifest.handshake_ms));
  TRY(exec->changed.wait_until([&] { return exec->recorded || live.ended || live.lost; },
                               patience));
  return judge(exec->ended, *exec->log->log);
}

Result<model::Runner> RunnerSwap::swap(const std::string& session, const std::string& wanted) {
  const auto live = TRY(find(session));
  const Flag alone(*live, &LiveRun::getting_runner);  // nothing has yielded since find() looked
  const InUse use(live);
  const auto reading = deps_.layers.read();  // nothing takes its layer away meanwhile
  model::Runner runner = TRY(find_runner(*live, wanted));
  TRY(validate(*live, runner));
  const Flag swapping(*live, &LiveRun::swapping);
  TRY(execs_.settled(session, ctx_.with_timeout(kSettlePatience)));
  if (live->is_over() || !live->started || live->is_going())
    return Error{Errc::conflict, session + " has ended, or gone to sleep, meanwhile"};
  const model::SessionRunner before = runner_of(*live);
  model::SessionRunner now{runner.reference(), runner.digest, false, before.reference,
                           before.digest};
  TRY(announce(*live, now));
  live->runner = now;
  TRY(exchange(*live, runner));
  if (auto confirmed = confirm(*live, runner); !confirmed)
    return discard(*live, std::move(confirmed).error());
  now = {now.reference, now.digest, true, {}, {}};
  if (auto recorded = announce(*live, now); !recorded)
    return discard(*live, std::move(recorded).error());
  live->runner = now;
  deps_.log.info("a session has another runner", {{"run", session}, {"runner", now.reference}});
  return runner;
}

}  // namespace tare::host
