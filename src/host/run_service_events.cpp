// RunService: what the launcher says, and what is left after a restart of it or of tared.
#include <algorithm>

#include "host/registry_run.h"
#include "host/run_events.h"
#include "host/run_service.h"
#include "sandbox/seccomp/names.h"

namespace tare::host {

void RunService::take_up(Leftovers left) {
  for (const Error& damaged : left.unfinished.damaged) {
    deps_.log.error("a run cannot be read", damaged);
  }
  for (model::Run& run : left.unfinished.runs) {
    auto live = std::make_shared<LiveRun>();
    live->run = std::move(run);
    if (const auto build = left.builds.find(live->run.id); build != left.builds.end()) {
      live->purpose = purpose_of(live->run, build->second);
      live->image = build->second;
    }
    table_[live->run.id] = live;
    const auto runner = left.runners.find(live->run.id);
    if (runner != left.runners.end()) live->runner = runner->second;
    live->orphaned = orphaned_by_restart(live->run.request);
    if (live->run.state == model::RunState::queued) {
      live->orphaned.empty() ? queue_.push_back(live) : end_orphan(live);
      continue;
    }
    if (live->hibernates()) {
      if (live->runner) live->runner = model::known_good(*live->runner);
      live->recorded = LiveRun::Recorded::done;
      live->kill_wanted = left.launches[live->run.id].kill_requested;
      continue;
    }
    // Driven as soon as it is known whether its sandbox lives.
    live->recorded = LiveRun::Recorded::done;
    live->launched = live->reattached = true;
    const Launch& launch = left.launches[live->run.id];
    live->launcher = launch.launcher;
    live->launched_ms = launch.at_ms;
    live->kill_wanted = launch.kill_requested;
    live->kill_why = launch.kill_why;
    if (live->is_half_changed() && !live->kill_wanted) {
      // By how much is not known: nothing may run in it any more.
      live->discarded = true;
      live->add_note("tared was restarted while its runner was being changed");
    }
    for (const auto& [call, count] : launch.denied) live->denied[call] = {count, count};
  }
}

// One that waited: it need not come to its turn to end.
void RunService::end_orphan(const LivePtr& live) {
  drivers_.spawn([this, live](const fiber::Context&) {
    const Error why{Errc::internal, live->orphaned};
    if (auto ended = end_without_sandbox(live, ended_early(why, deps_.clock.wall_ms())); !ended) {
      deps_.log.error("end could not be recorded", ended.error(), {{"run", live->run.id}});
      queue_.push_back(live);  // it ends as soon as it is launched
    }
  });
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
  auto event = event_at(model::RunEventType::reattached, deps_.clock.wall_ms(),
                        "tared was restarted before the launch");
  deps_.records.queue([id = live->run.id, event = std::move(event)](
                          runs::Store& store) { return store.append_event(kTenant, id, event); },
                      [](auto) {});
  start_driver(live);
}

void RunService::on_launcher_gone(const std::string& why) {
  for (const auto& [id, live] : table_) {
    live->leaving = false;
    // Of one that has ended what it was is with tared, but for the files of a discarded one.
    if (!live->launched || live->lost || (live->ended && !live->discarded)) continue;
    live->lost = why;
    live->notify();
    if (!live->driven) start_driver(live);
  }
}

void RunService::on_live(const sandbox::LiveMessage& message, std::vector<sys::UniqueFd> fds) {
  const auto live = this->live(message.id);
  if (!live || !live->launched) {
    if (live && live->hibernates()) live->leaving = true;
    strange_.insert(message.id);
    return;
  }
  listed_.insert(message.id);
  if (live->driven) return;  // it has its pipes
  live->stdout_read = std::move(fds[0]);
  live->stderr_read = std::move(fds[1]);
  if (message.with_stdin) live->stdin_write = std::move(fds[2]);
  if (message.with_report) live->report_read = std::move(fds.back());
  if (message.started) live->started = sandbox::StartedMessage{message.id, 0};
}

void RunService::on_listed() {
  recovered_ = true;
  std::vector<LivePtr> asleep_and_killed;
  for (const auto& [id, live] : table_) {
    if (live->hibernates() && !live->driven && live->kill_wanted) asleep_and_killed.push_back(live);
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
    } else if (live->kill_wanted || live->discarded) {
      send_later(sandbox::KillMessage{id});
    }
    if (!live->driven) start_driver(live);
  }
  for (const std::string& id : strange_) {
    deps_.log.warning("ending a sandbox that no run knows", {{"run", id}});
    send_later(sandbox::KillMessage{id});
  }
  for (const LivePtr& live : asleep_and_killed) rest(live);
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
  if (!live || !live->launched) {
    send_later(sandbox::ReleaseMessage{message.id});
    if (live) live->leaving = false;
    if (live) live->changed.notify_all();
    return;
  }
  if (live->ended) return;
  live->ended.emplace(LiveRun::End{message, std::move(output)});
  live->notify();
}

}  // namespace tare::host
