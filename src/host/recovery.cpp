#include "host/recovery.h"

#include <algorithm>

#include "base/ids.h"
#include "host/run_deps.h"
#include "sys/files.h"

namespace tare::host {

namespace {

// A folder is made while the run's row is on its way to the disk. One without a row is from a tared
// that died between the two: among the newest, then.
constexpr std::size_t kCheckedFolders = 2 * kMaxLiveRuns;

Result<std::size_t> remove_orphan_folders(runs::Store& store, int runs_dir) {
  auto names = TRY(sys::list_dir(runs_dir, "."));
  std::erase_if(names, [](const std::string& name) { return !is_run_id(name); });
  std::sort(names.begin(), names.end(), std::greater<>());
  if (names.size() > kCheckedFolders) names.resize(kCheckedFolders);
  std::size_t removed = 0;
  for (const std::string& id : names) {
    const auto run = store.get_run(kTenant, id);
    if (run || run.error().code != Errc::not_found) continue;
    TRY(sys::remove_tree_at(runs_dir, id));
    ++removed;
  }
  return removed;
}

}  // namespace

Launch launch_of(const std::vector<model::RunEvent>& events) {
  Launch launch;
  for (const model::RunEvent& event : events) {
    if (event.type == model::RunEventType::launching) {
      launch.launcher = event.launcher;
      launch.at_ms = event.at_ms;
    }
    if (event.type == model::RunEventType::kill_requested && !launch.kill_requested) {
      launch.kill_requested = true;
      launch.kill_why = event.message;
    }
    if (event.type == model::RunEventType::denied) launch.denied[event.call] = event.count;
  }
  return launch;
}

Result<Leftovers> find_leftovers(runs::Store& store, const runs::Blobs& blobs, int runs_dir,
                                 std::uint64_t now_ms, const Logger& log) {
  Leftovers left;
  left.unfinished = TRY(store.unfinished_runs());
  for (const model::Run& run : left.unfinished.runs) {
    if (run.state == model::RunState::queued) continue;
    auto events = store.events(run.tenant, run.id, 0);
    if (!events) log.error("events cannot be read", events.error(), {{"run", run.id}});
    if (run.request.session) {
      auto runner = store.get_session_runner(run.tenant, run.id);
      if (!runner)
        log.error("a session's runner cannot be read", runner.error(), {{"run", run.id}});
      if (runner && *runner) left.runners.emplace(run.id, std::move(**runner));
    }
    left.launches.emplace(run.id, launch_of(std::move(events).value_or({})));
  }
  left.builds = TRY(builds_under_way(store, kTenant));
  const std::size_t folders = TRY(
      remove_orphan_folders(store, runs_dir).context("folders of runs"));
  const std::size_t uploads = TRY(blobs.sweep(now_ms).context("unfinished uploads"));
  log.info("taking up", {{"unfinished_runs", left.unfinished.runs.size()},
                         {"removed_folders", folders},
                         {"removed_uploads", uploads}});
  return left;
}

}  // namespace tare::host
