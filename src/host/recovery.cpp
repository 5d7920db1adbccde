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

Result<Leftovers> find_leftovers(runs::Store& store, const runs::Blobs& blobs, int runs_dir,
                                 std::uint64_t now_ms, const Logger& log) {
  Leftovers left;
  left.unfinished = TRY(store.unfinished_runs());
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
