#include "host/run_service.h"

#include <algorithm>
#include <chrono>

#include "host/held_session.h"
#include "host/run_events.h"
#include "model/validate.h"

namespace tare::host {

namespace {

// How long a run that is being started is waited for.
constexpr std::chrono::seconds kStartPatience{30};

Error has_ended(const model::Run& run) {
  const bool never_was = run.outcome && run.outcome->reason == model::EndReason::setup_failed;
  return Error{Errc::conflict,
               fmt::format("run {} has ended ({}{})", run.id, model::to_string(run.state),
                           never_was ? ": " + run.outcome->message : "")};
}

}  // namespace

RunService::RunService(const RunDeps& deps, Random& random, const fiber::Context& ctx)
    : deps_(deps), ids_(deps.clock, random), driver_(deps), drivers_(ctx) {}

std::shared_ptr<LiveRun> RunService::live(const std::string& id) const {
  const auto found = table_.find(id);
  return found == table_.end() ? nullptr : found->second;
}

std::shared_ptr<LiveRun> RunService::build_of(std::string_view source) const {
  for (const auto& [id, live] : table_) {
    if (live->image && live->image->source == source) return live;
  }
  return nullptr;
}

std::string RunService::run_in(std::string_view environment_digest) const {
  for (const auto& [id, live] : table_) {
    if (live->run.request.environment_digest == environment_digest) return id;
  }
  return {};
}

std::string RunService::run_with_runner(std::string_view runner_digest) const {
  for (const auto& [id, live] : table_) {
    const bool other = live->runner && (live->runner->digest == runner_digest ||
                                        live->runner->before_digest == runner_digest);
    if (other || live->run.request.runner_digest == runner_digest) return id;
  }
  return {};
}

std::vector<std::shared_ptr<const LiveRun>> RunService::unended() const {
  std::vector<std::shared_ptr<const LiveRun>> all;
  for (const auto& [id, live] : table_) all.push_back(live);
  return all;
}

std::vector<std::shared_ptr<LiveRun>> RunService::reattached() const {
  std::vector<std::shared_ptr<LiveRun>> all;
  for (const auto& [id, live] : table_) {
    if (live->reattached && live->launched && !live->lost && !live->ended) all.push_back(live);
  }
  return all;
}

std::set<std::string, std::less<>> RunService::inputs_in_use() const {
  std::set<std::string, std::less<>> digests;
  for (const auto& [id, live] : table_) {
    for (const model::InputFile& input : live->run.request.inputs) digests.insert(input.digest);
  }
  return digests;
}

// ---- new runs

model::Run RunService::new_run(NewRun& wanted) {
  model::Run run;
  run.tenant = kTenant;
  run.id = wanted.id.empty() ? ids_.next() : std::move(wanted.id);
  run.request = std::move(wanted.request);
  run.created_ms = deps_.clock.wall_ms();
  return run;
}

Result<runs::CreatedRun> RunService::create(NewRun wanted) {
  if (!deps_.launcher.ready() || !recovered_) {
    return Error{Errc::unavailable, "tare-launcher is not up: run `tare up`"};
  }
  TRY(model::validate(wanted.request));
  const bool at_once = driven_ < deps_.config.max_running && queue_.empty();
  if (!at_once && queue_.size() >= kMaxQueuedRuns) {
    return Error{Errc::exhausted,
                 fmt::format("{} runs wait already; try again later", kMaxQueuedRuns)};
  }
  auto live = std::make_shared<LiveRun>();
  live->run = new_run(wanted);
  live->purpose = wanted.purpose;
  live->image = std::move(wanted.image);
  live->run.own = std::move(wanted.own);
  live->archive = std::move(wanted.archive);
  live->feed = std::move(wanted.feed);
  table_[live->run.id] = live;
  // What a launch takes is made while the disk is busy with the run's row.
  if (at_once) start_driver(live);

  auto created = deps_.records.run([&, run = live->run, launching = launching_event()](
                                       runs::Store& store) -> Result<runs::CreatedRun> {
    if (wanted.condition) TRY(wanted.condition(store));
    auto made = TRY(store.create_run(run, wanted.request_digest));
    if (made.existed) return made;
    if (live->image) TRY(record_build(store, *live->image, run.id));
    if (at_once) {
      made.run = TRY(store.append_event(kTenant, run.id, launching)).run;
      deps_.records.hint([&live] {
        live->admitted = true;
        live->changed.notify_all();
      });
    }
    return made;
  });
  const bool fresh = created && !created->existed;
  if (fresh) live->run = created->run;
  if (fresh && !at_once) {
    queue_.push_back(live);
    start_queued();
  }
  if (!fresh && !at_once) forget(live);
  if (!at_once) return created;
  live->recorded = fresh ? LiveRun::Recorded::done : LiveRun::Recorded::failed;
  live->changed.notify_all();
  fiber::yield();  // the launch first, then the answer
  return created;
}

model::RunEvent RunService::launching_event() const {
  model::RunEvent event = event_at(model::RunEventType::launching, deps_.clock.wall_ms());
  event.launcher = deps_.launcher.instance();
  return event;
}

void RunService::start_driver(LivePtr live) {
  live->driven = true;
  ++driven_;
  drivers_.spawn([this, live = std::move(live)](const fiber::Context& ctx) {
    const auto driven = driver_.drive(*live, ctx);
    --driven_;
    if (ctx.cancelled()) return;  // tared stops; the run goes on without it
    if (!driven) deps_.log.error("run was given up", driven.error(), {{"run", live->run.id}});
    if (live->hibernates()) {
      rest(live);
    } else {
      forget(live);
    }
    start_queued();
  });
}

void RunService::forget(const LivePtr& live) {
  table_.erase(live->run.id);
  live->changed.notify_all();
}

void RunService::start_queued() {
  while (!queue_.empty() && driven_ < deps_.config.max_running && recovered_ &&
         deps_.launcher.ready()) {
    const LivePtr live = std::move(queue_.front());
    queue_.pop_front();
    launch_queued(live);
  }
}

void RunService::launch_queued(const LivePtr& live) {
  start_driver(live);
  deps_.records.queue([id = live->run.id, event = launching_event()](
                          runs::Store& store) { return store.append_event(kTenant, id, event); },
                      [live](Result<runs::AppendedEvent> appended) {
                        if (appended) {
                          live->run = std::move(appended->run);
                        } else {
                          live->fault = std::move(appended).error();
                        }
                        live->recorded = LiveRun::Recorded::done;
                        live->changed.notify_all();
                      });
}

// ---- sessions that hibernate

std::vector<std::shared_ptr<LiveRun>> RunService::sessions() const {
  std::vector<LivePtr> found;
  for (const auto& [id, live] : table_) {
    if (live->run.request.session) found.push_back(live);
  }
  return found;
}

// Its sandbox is gone. What was asked meanwhile is done now.
void RunService::rest(const LivePtr& live) {
  live->driven = live->launched = live->reattached = live->output_limit_hit = false;
  live->discarded = live->output_taken = live->admitted = live->held = false;
  live->unkept.reset();
  live->started.reset();
  live->ended.reset();
  live->lost.reset();
  live->fault.reset();
  live->denied.clear();
  live->log.reset();
  live->stdout_read.reset();
  live->stderr_read.reset();
  live->note.clear();
  live->recorded = LiveRun::Recorded::done;
  live->checkpointing.kept_changes = live->checkpointing.changes;  // its next sandbox is another
  live->checkpointing.has_background = false;
  live->checkpointing.last = fiber::Clock::now();
  ++live->sleeps;
  live->changed.notify_all();
  if (!live->kill_wanted) return;
  drivers_.spawn([this, live](const fiber::Context&) {
    if (auto ended = end_queued(live); !ended)
      deps_.log.error("end could not be recorded", ended.error(), {{"run", live->run.id}});
  });
}

Result<> RunService::wake(const LivePtr& live) {
  const bool waits = std::find(queue_.begin(), queue_.end(), live) != queue_.end();
  if (!live->hibernates() || live->driven || waits) return ok();
  if (!deps_.launcher.ready() || !recovered_)
    return Error{Errc::unavailable, "tare-launcher is not up: run `tare up`"};
  const bool at_once = driven_ < deps_.config.max_running && queue_.empty();
  if (!at_once && queue_.size() >= kMaxQueuedRuns) {
    return Error{Errc::exhausted,
                 fmt::format("{} runs wait already; try again later", kMaxQueuedRuns)};
  }
  live->recorded = LiveRun::Recorded::pending;
  live->wake_fault.clear();
  if (at_once) {
    launch_queued(live);
  } else {
    queue_.push_back(live);
  }
  return ok();
}

Result<std::shared_ptr<LiveRun>> RunService::running(const std::string& id,
                                                     const fiber::Context& ctx) {
  const auto patient = ctx.with_timeout(kStartPatience);
  const auto live = this->live(id);
  if (!live) return has_ended(TRY(get(id)));  // or not_found
  const auto has_come = [&] { return !live->is_going() || (live->is_held() && !live->swapping); };
  auto waited = live->changed.wait_until(has_come, patient);
  if (waited) TRY(until_not_held(*live, patient));
  if (waited) waited = live->changed.wait_until([&] { return !live->is_going(); }, patient);
  if (waited && !live->is_over()) TRY(wake(live));
  // A sandbox that could not be made has ended, and what becomes of its session is not settled yet.
  const auto settled = [&] {
    const bool stays_asleep = live->hibernates() && !live->driven && !live->wake_fault.empty();
    return live->started || live->kill_wanted || live->ended_durably() || stays_asleep;
  };
  if (waited) waited = live->changed.wait_until(settled, patient);
  if (!waited && waited.error().code != Errc::timeout) return std::move(waited).error();
  if (live->ended_durably()) return has_ended(live->run);
  if (live->is_over())
    return Error{Errc::conflict,
                 fmt::format("run {} is ending: `tare ps` shows those that are active", id)};
  if (!live->wake_fault.empty()) {
    return Error{Errc::conflict, fmt::format("session {} could not be woken, and sleeps on: {}", id,
                                             live->wake_fault)};
  }
  if (live->started && !live->is_going()) return live;
  return Error{Errc::conflict,
               fmt::format("run {} has not started yet; `tare inspect` shows its state", id)};
}

// ---- what can be asked about a run

std::string RunService::held(const std::string& id) const {
  const auto live = this->live(id);
  return live && live->is_held() ? held_text(*live) : std::string();
}

Result<model::Run> RunService::get(const std::string& id) {
  if (const auto live = this->live(id)) return live->run;
  return deps_.records.run([&](runs::Store& store) { return store.get_run(kTenant, id); });
}

Result<std::pair<model::Run, bool>> RunService::kill(const std::string& id, std::string why) {
  const auto live = this->live(id);
  if (!live) return std::pair(TRY(get(id)), true);
  const auto waiting = std::find(queue_.begin(), queue_.end(), live);
  const bool queued = waiting != queue_.end();
  if (queued) queue_.erase(waiting);
  if (queued || (live->hibernates() && !live->driven))
    return std::pair(TRY(end_queued(live)), false);
  if (!live->kill_wanted) live->kill_why = why;
  live->kill_wanted = true;
  live->notify();
  if (live->launched) {
    (void)deps_.launcher.send(sandbox::KillMessage{id}, {}, drivers_.context());
  }
  auto recorded = deps_.records.run([&](runs::Store& store) {
    return store.append_event(
        kTenant, id,
        event_at(model::RunEventType::kill_requested, deps_.clock.wall_ms(), std::move(why)));
  });
  if (!recorded && recorded.error().code != Errc::conflict) return std::move(recorded).error();
  const bool ended = !recorded;  // by itself, while we asked
  return std::pair(ended ? TRY(get(id)) : live->run, ended);
}

Result<model::Run> RunService::end_queued(const LivePtr& live) {
  const Error why{Errc::cancelled, live->hibernates() ? "killed while it hibernated"
                                                      : "killed before it was launched"};
  auto ended = end_without_sandbox(live, ended_early(why, deps_.clock.wall_ms()));
  if (!ended && !live->hibernates()) queue_.push_front(live);
  return ended;
}

Result<> RunService::end_by_age(const LivePtr& live) {
  if (!live->hibernates() || live->driven) return ok();  // woken, or ended, meanwhile
  std::erase(queue_, live);
  model::RunEvent end = event_at(model::RunEventType::ended, deps_.clock.wall_ms());
  end.outcome = model::Outcome{model::EndReason::timeout, 0, 0,
                               "its time was over while it hibernated (limit time)"};
  TRY(end_without_sandbox(live, end));
  return ok();
}

Result<model::Run> RunService::end_without_sandbox(const LivePtr& live,
                                                   const model::RunEvent& end) {
  live->kill_wanted = true;  // it is not woken meanwhile
  auto ended = deps_.records.run([&](runs::Store& store) -> Result<model::Run> {
    const std::string& id = live->run.id;
    if (end.outcome->reason == model::EndReason::killed)
      TRY(store.append_event(kTenant, id,
                             event_at(model::RunEventType::kill_requested, deps_.clock.wall_ms())));
    auto done = TRY(store.append_event(kTenant, id, end));
    if (live->image) TRY(record_image(store, *live->image, done.run, {}));
    return std::move(done.run);
  });
  if (!ended) {
    live->kill_wanted = false;
    return ended;
  }
  live->run = *ended;
  forget(live);
  return ended;
}

Result<model::Run> RunService::wait(const std::string& id, const fiber::Context& ctx) {
  const auto live = this->live(id);
  if (!live) return get(id);
  auto waited = live->changed.wait_until([&] { return live->ended_durably(); }, ctx);
  if (!waited && waited.error().code != Errc::timeout) return std::move(waited).error();
  return live->run;
}

Result<> RunService::remove(const std::string& id, const fiber::Context& ctx) {
  if (live(id)) return Error{Errc::conflict, "run " + id + " has not ended; `tare kill` ends it"};
  const model::Run run = TRY(get(id));
  if (!model::is_terminal(run.state))
    return Error{Errc::conflict, "run " + id + " has not ended; `tare kill` ends it"};
  TRY(snapshot::expect<snapshot::Done>(deps_.store.call(snapshot::RemoveRun{id}, {}, ctx)));
  return deps_.records.run([&](runs::Store& store) { return store.delete_run(kTenant, id); });
}

Result<runs::RunPage> RunService::list(const runs::RunFilter& filter) {
  return deps_.records.run([&](runs::Store& store) { return store.list_runs(kTenant, filter); });
}

Result<std::vector<model::RunEvent>> RunService::events(const std::string& id,
                                                        std::uint64_t after) {
  return deps_.records.run([&](runs::Store& store) -> Result<std::vector<model::RunEvent>> {
    TRY(store.get_run(kTenant, id));
    return store.events(kTenant, id, after);
  });
}

void RunService::send_later(sandbox::ToLauncher message) {
  drivers_.spawn([this, message = std::move(message)](const fiber::Context& ctx) {
    (void)deps_.launcher.send(message, {}, ctx);
  });
}

}  // namespace tare::host
