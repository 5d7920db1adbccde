#include "host/runner_swap.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "host/held_session.h"

namespace tare::host {

namespace {

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

// What it had written by then is there: in that sandbox, which goes on, or kept.
bool has_all_of(const LiveRun& live, std::uint32_t attempt) {
  if (live.checkpointing.whole_attempt == attempt) return true;
  return live.run.attempt == attempt && !live.hibernates() && !live.is_over();
}

}  // namespace

bool leads_into_its_own(const std::vector<std::string>& variables) {
  // Also where they are not the first part of a name: relative ones are looked for from the root.
  constexpr std::array<std::string_view, 5> kOwn = {"home", "tmp", "run", "output", "shm"};
  return std::ranges::any_of(variables, [&](std::string_view variable) {
    return std::ranges::any_of(
        kOwn, [&](std::string_view folder) { return variable.find(folder) != variable.npos; });
  });
}

Result<std::shared_ptr<LiveRun>> RunnerSwap::find(const std::string& session) {
  const auto there = ports_.live(session);
  if (there && !there->run.request.session)
    return Error{Errc::conflict, session +
                                     " is a run, and keeps the runner that it began with: `tare "
                                     "runner use` is for the next ones"};
  if (there && there->run.request.runner.empty())
    return Error{Errc::conflict, session +
                                     " was made without a runner: make one with `tare session new "
                                     "--env ENV --runner RUNNER`"};
  auto live = TRY(ports_.running(session));  // one that hibernates is woken
  if (live->getting_runner)
    return Error{Errc::conflict, session + " gets another runner already: try again in a moment"};
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
  if (ref.name == now.name) return ports_.find(ref);
  return field_error("runner", fmt::format("the session has {}, and cannot get {}: make another "
                                           "session for it",
                                           now.name, ref.name));
}

Result<> RunnerSwap::put_back(LiveRun& live) {
  live.runner = model::known_good(*live.runner);
  return ports_.record(live, *live.runner);
}

// What may have been begun is not left to itself. (What it knows to be half the launcher has ended
// already.) `sandbox`: which of its sandboxes that was, by its attempt. One that ended by itself
// may be kept already, and the session asleep, or awake in another.
Error RunnerSwap::discard(LiveRun& live, std::uint32_t sandbox, const Error& why) {
  const std::string& id = live.run.id;
  const std::string text = "its runner could not be changed: " + why.message;
  log_.error("a session's sandbox is discarded", why, {{"run", id}});
  if (live.run.attempt == sandbox && !live.hibernates()) {
    live.add_note(text);
    live.discarded = true;
    live.notify();
    ports_.end_sandbox(id);
  }
  const auto settled = [&] { return !live.is_going() || live.ended_durably() || live.is_held(); };
  (void)live.changed.wait_until(settled, ctx_.with_timeout(kKeepPatience));
  if (live.ended_durably()) return Error{Errc::conflict, fmt::format("{} has ended: {}", id, text)};
  if (live.is_going() && live.unkept) live.held = true;  // long enough to be told
  if (live.is_held()) return is_held_error(live);
  if (live.is_going())
    return Error{Errc::conflict,
                 fmt::format("{}: {}. Its sandbox was discarded; its files are still being kept "
                             "(`tare inspect` shows when it hibernates), and it goes on with {}",
                             id, text, model::known_good(runner_of(live)).reference)};
  const auto files = has_all_of(live, sandbox)
                         ? "Its sandbox was discarded; its files are kept"
                         : "Its sandbox was lost, with what was written since it was last kept";
  return Error{Errc::conflict, fmt::format("{}: {}. {}, and it goes on in a fresh one with {} when "
                                           "something is done in it",
                                           id, text, files, runner_of(live).reference)};
}

Result<bool> RunnerSwap::exchange(LiveRun& live, const model::Runner& runner, std::uint32_t sandbox,
                                  bool& discarded) {
  auto done = ports_.exchange(live, runner, discarded);
  if (done) return done;
  if (discarded) return discard(live, sandbox, done.error());
  TRY(put_back(live));
  return std::move(done).error();
}

Result<> RunnerSwap::change(LiveRun& live, const model::Runner& runner, bool& discarded) {
  const std::string& session = live.run.id;
  TRY(ports_.settle(live));
  if (live.is_over() || !live.started || live.is_going())
    return Error{
        Errc::conflict,
        session +
            " has ended, or gone to sleep, meanwhile: see `tare session list`, and try again"};
  const std::uint32_t sandbox = live.run.attempt;
  const model::SessionRunner before = runner_of(live);
  const model::SessionRunner now{runner.reference(), runner.digest, false, before.reference,
                                 before.digest};
  TRY(ports_.record(live, now));
  live.runner = now;
  const bool as_made = TRY(exchange(live, runner, sandbox, discarded));
  discarded = true;
  if (auto confirmed = ports_.confirm(live, runner, as_made); !confirmed)
    return discard(live, sandbox, confirmed.error());
  const model::SessionRunner good{now.reference, now.digest, true, {}, {}};
  if (auto recorded = ports_.record(live, good); !recorded)
    return discard(live, sandbox, recorded.error());
  live.runner = good;
  return ok();
}

Result<model::Runner> RunnerSwap::swap(const std::string& session, const std::string& wanted) {
  const auto live = TRY(find(session));
  const Flag alone(*live, &LiveRun::getting_runner);  // nothing has yielded since find() looked
  const InUse use(live);
  const auto reading = layers_.read();  // nothing takes its layer away meanwhile
  const model::Runner runner = TRY(find_runner(*live, wanted));
  TRY(ports_.validate(*live, runner));
  const Flag swapping(*live, &LiveRun::swapping);
  TRY(live->changed.wait_until([&] { return live->keeping == 0; }, ctx_));
  for (int tries = 1;; ++tries) {
    bool discarded = false;
    const std::uint32_t attempt = live->run.attempt;
    auto changed = change(*live, runner, discarded);
    if (changed) break;
    // In a fresh sandbox, once more; also when it just went to sleep. Not as what it once was.
    const bool gone = live->hibernates() || live->is_over() || live->is_going();
    if (!gone || tries == kTries) return std::move(changed).error();
    if (!discarded)
      (void)live->changed.wait_until([&] { return !live->is_going(); },
                                     ctx_.with_timeout(kKeepPatience));
    if (live->is_going() || !has_all_of(*live, attempt)) return std::move(changed).error();
    TRY(ports_.running(session).context(changed.error().message));
  }
  log_.info("a session has another runner", {{"run", session}, {"runner", runner.reference()}});
  return runner;
}

}  // namespace tare::host
