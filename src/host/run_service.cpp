#include "host/run_service.h"

#include <algorithm>

#include "model/validate.h"
#include "sandbox/seccomp/names.h"

namespace tare::host {

namespace {

model::RunEvent event_now(const RunDeps& deps, model::RunEventType type, std::string message = {}) {
  model::RunEvent event;
  event.at_ms = deps.clock.wall_ms();
  event.type = type;
  event.message = std::move(message);
  return event;
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

std::set<std::string, std::less<>> RunService::layers_in_use() const {
  std::set<std::string, std::less<>> digests;
  for (const auto& [id, live] : table_) {
    for (std::string& layer : layers_of(live->run.request)) digests.insert(std::move(layer));
  }
  return digests;
}

std::set<std::string, std::less<>> RunService::inputs_in_use() const {
  std::set<std::string, std::less<>> digests;
  for (const auto& [id, live] : table_) {
    for (const model::InputFile& input : live->run.request.inputs) digests.insert(input.digest);
  }
  return digests;
}

// ---- new runs

model::Run RunService::new_run(model::RunRequest request) {
  model::Run run;
  run.tenant = kTenant;
  run.id = ids_.next();
  run.request = std::move(request);
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
  live->run = new_run(std::move(wanted.request));
  live->purpose = wanted.purpose;
  live->image = std::move(wanted.image);
  table_[live->run.id] = live;
  // What a launch takes is made while the disk is busy with the run's row.
  if (at_once) start_driver(live);

  auto created = deps_.records.run([&, run = live->run, launching = launching_event()](
                                       runs::Store& store) -> Result<runs::CreatedRun> {
    auto made = TRY(store.create_run(run, wanted.request_digest));
    if (made.existed) return made;
    if (live->image) TRY(record_build(store, *live->image, run.id));
    if (at_once) {
      made.run = TRY(store.append_event(kTenant, run.id, launching)).run;
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
  model::RunEvent event = event_now(deps_, model::RunEventType::launching);
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
    forget(live);
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

// ---- what can be asked about a run

Result<model::Run> RunService::get(const std::string& id) {
  if (const auto live = this->live(id)) return live->run;
  return deps_.records.run([&](runs::Store& store) { return store.get_run(kTenant, id); });
}

Result<std::pair<model::Run, bool>> RunService::kill(const std::string& id) {
  const auto live = this->live(id);
  if (!live) return std::pair(TRY(get(id)), true);
  const auto waiting = std::find(queue_.begin(), queue_.end(), live);
  if (waiting != queue_.end()) {
    queue_.erase(waiting);
    return std::pair(TRY(end_queued(live)), false);
  }
  live->kill_wanted = true;
  live->notify();
  if (live->launched) {
    (void)deps_.launcher.send(sandbox::KillMessage{id}, {}, drivers_.context());
  }
  auto recorded = deps_.records.run([&](runs::Store& store) {
    return store.append_event(kTenant, id, event_now(deps_, model::RunEventType::kill_requested));
  });
  if (!recorded && recorded.error().code != Errc::conflict) return std::move(recorded).error();
  const bool ended = !recorded;  // by itself, while we asked
  return std::pair(ended ? TRY(get(id)) : live->run, ended);
}

Result<model::Run> RunService::end_queued(const LivePtr& live) {
  auto ended = deps_.records.run([&](runs::Store& store) -> Result<model::Run> {
    const std::string& id = live->run.id;
    TRY(store.append_event(kTenant, id, event_now(deps_, model::RunEventType::kill_requested)));
    const Error why{Errc::cancelled, "killed before it was launched"};
    auto done = TRY(store.append_event(kTenant, id, ended_early(why, deps_.clock.wall_ms())));
    if (live->image) TRY(record_image(store, *live->image, done.run, {}));
    return std::move(done.run);
  });
  if (!ended) {
    queue_.push_front(live);
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
  if (!model::is_terminal(run.state)) return Error{Errc::conflict, "run " + id + " has not ended"};
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

// ---- after a restart, of tared or of the launcher

void RunService::take_up(Leftovers left) {
  for (const Error& damaged : left.unfinished.damaged) {
    deps_.log.error("a run cannot be read", damaged);
  }
  for (model::Run& run : left.unfinished.runs) {
    auto live = std::make_shared<LiveRun>();
    live->run = std::move(run);
    if (const auto build = left.builds.find(live->run.id); build != left.builds.end()) {
      live->purpose = Purpose::build;
      live->image = build->second;
    }
    table_[live->run.id] = live;
    if (live->run.state == model::RunState::queued) {
      queue_.push_back(live);
      continue;
    }
    // Driven as soon as it is known whether its sandbox lives.
    live->recorded = LiveRun::Recorded::done;
    live->launched = live->reattached = true;
    const Launch& launch = left.launches[live->run.id];
    live->launcher = launch.launcher;
    live->kill_wanted = launch.kill_requested;
    for (const auto& [call, count] : launch.denied) live->denied[call] = {count, count};
  }
}

// Its Launch was for the launcher process that is there now, and that one has not received it: what
// it received it lists until the end is recorded, and what an earlier connection had not delivered
// is gone with that connection. (A Launch that failed before anything was executed is not listed
// either.) Launched again, the run is not executed twice.
bool RunService::never_reached(const LiveRun& live) const {
  return live.reattached && !live.driven && !live.started && !live.ended && !live.lost &&
         live.run.state == model::RunState::starting && !listed_.contains(live.run.id) &&
         live.launcher == deps_.launcher.instance();
}

void RunService::launch_again(const LivePtr& live) {
  deps_.log.info("launching again: the launcher was not told", {{"run", live->run.id}});
  live->launched = live->reattached = false;
  auto event = event_now(deps_, model::RunEventType::reattached,
                         "tared was restarted before the launch");
  deps_.records.queue([id = live->run.id, event = std::move(event)](
                          runs::Store& store) { return store.append_event(kTenant, id, event); },
                      [](auto) {});
  start_driver(live);
}

void RunService::on_launcher_gone(const std::string& why) {
  for (const auto& [id, live] : table_) {
    if (!live->launched || live->lost || live->ended) continue;
    live->lost = why;
    live->notify();
    if (!live->driven) start_driver(live);
  }
}

void RunService::on_live(const sandbox::LiveMessage& message, std::vector<sys::UniqueFd> fds) {
  const auto live = this->live(message.id);
  if (!live || !live->launched) {
    strange_.insert(message.id);
    return;
  }
  listed_.insert(message.id);
  if (live->driven) return;  // it has its pipes
  live->stdout_read = std::move(fds[0]);
  live->stderr_read = std::move(fds[1]);
  if (message.with_stdin) live->stdin_write = std::move(fds[2]);
  if (message.started) live->started = sandbox::StartedMessage{message.id, 0};
}

void RunService::on_listed() {
  recovered_ = true;
  for (const auto& [id, live] : table_) {
    if (!live->launched || live->lost) continue;
    if (never_reached(*live)) {
      launch_again(live);
      continue;
    }
    if (live->ended) {
      // Told between our connecting and the list: its driver is still to be started.
    } else if (!listed_.contains(id)) {
      live->lost = "tare-launcher does not know this run (any more)";
      live->notify();
    } else if (live->kill_wanted) {
      send_later(sandbox::KillMessage{id});
    }
    if (!live->driven) start_driver(live);
  }
  for (const std::string& id : strange_) {
    deps_.log.warning("ending a sandbox that no run knows", {{"run", id}});
    send_later(sandbox::KillMessage{id});
  }
  listed_.clear();
  strange_.clear();
  start_queued();
}

void RunService::on_started(const sandbox::StartedMessage& message) {
  const auto live = this->live(message.id);
  if (!live || live->started) return;
  live->started = message;
  live->changed.notify_all();
}

void RunService::on_denied(const sandbox::DeniedMessage& message) {
  const auto live = this->live(message.id);
  if (!live || !live->launched || live->ended) return;
  LiveRun::Denied& denied = live->denied[sandbox::name_of(message.call)];
  denied.count = std::max(denied.count, message.count);
  live->changed.notify_all();
}

void RunService::on_ended(const sandbox::EndedMessage& message, sys::UniqueFd output) {
  const auto live = this->live(message.id);
  if (!live || !live->launched) return send_later(sandbox::ReleaseMessage{message.id});
  if (live->ended) return;
  live->ended.emplace(LiveRun::End{message, std::move(output)});
  live->notify();
}

void RunService::send_later(sandbox::ToLauncher message) {
  drivers_.spawn([this, message = std::move(message)](const fiber::Context& ctx) {
    (void)deps_.launcher.send(message, {}, ctx);
  });
}

}  // namespace tare::host
