// RunService: all runs that have not ended, and what can be asked about any run. Admits new ones
// (at most Config::max_running sandboxes at once, the rest queue first in, first out), gives each
// to a RunDriver on a fiber of its own, routes what the launcher says, and takes up after a restart
// what an earlier tared left.
//
// Owner: main. Loop thread only. Errors: Errc::unavailable while the launcher is not up or recovery
// is not done, exhausted when the queue is full, conflict and not_found as the API has them. What
// never happens: an accepted run is forgotten; two drivers for one run.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "fiber/task_group.h"
#include "host/live_run.h"
#include "host/recovery.h"
#include "host/run_deps.h"
#include "host/run_driver.h"
#include "runs/store.h"

namespace tare::host {

struct NewRun {
  std::string id = {};  // of new_id(), or ""
  model::RunRequest request;
  std::string request_digest;  // of what the client asked, before names were resolved
  Purpose purpose = Purpose::run;
  std::optional<model::Environment> image = std::nullopt;       // of a build: what it makes
  model::OwnLayers own = {};                                    // of a session that is a fork
  std::optional<snapshot::ImportImage> archive = std::nullopt;  // as LiveRun::archive
  StdinFeed feed = nullptr;                                     // as LiveRun::feed
  // Looked at in the transaction that records it.
  std::function<Result<>(runs::Store&)> condition = nullptr;
};

class RunService final : public LauncherEvents {
 public:
  RunService(const RunDeps& deps, Random& random, const fiber::Context& ctx);
  // Cancels the drivers and waits for them: nothing of any run is ended by it.
  ~RunService() override = default;

  // Before anything else: what an earlier tared left unfinished.
  void take_up(Leftovers left);

  std::string new_id() { return ids_.next(); }
  // Durable when it returns.
  Result<runs::CreatedRun> create(NewRun request);
  Result<model::Run> get(const std::string& id);
  // The runner that a session has now; nullopt: that of its request, if any.
  Result<std::optional<model::SessionRunner>> session_runner(const std::string& id);
  // Why it is held, and what helps; "" when it is not.
  std::string held(const std::string& id) const;
  // What its program has reported so far; nullopt: nothing.
  Result<std::optional<Json>> report(const std::string& id);
  // .second: it had ended already. `why`: for people, when it was not asked for by one.
  Result<std::pair<model::Run, bool>> kill(const std::string& id, std::string why = {});
  // Until it has ended or ctx ends (then as it is).
  Result<model::Run> wait(const std::string& id, const fiber::Context& ctx);
  Result<> remove(const std::string& id, const fiber::Context& ctx);
  Result<runs::RunPage> list(const runs::RunFilter& filter);
  Result<std::vector<model::RunEvent>> events(const std::string& id, std::uint64_t after);

  std::shared_ptr<LiveRun> live(const std::string& id) const;
  // One whose program, or session, runs: waited for when it is being started, woken when it
  // hibernates. Errors: Errc::conflict when it ends, or cannot be started or woken now.
  Result<std::shared_ptr<LiveRun>> running(const std::string& id, const fiber::Context& ctx);
  // Sessions that have not ended.
  std::vector<std::shared_ptr<LiveRun>> sessions() const;
  // The run that builds an environment from that source now, or null.
  std::shared_ptr<LiveRun> build_of(std::string_view source) const;
  // The id of a run in the environment of that digest that has not ended, or "".
  std::string run_in(std::string_view environment_digest) const;
  // The same of one with the runner of that digest.
  std::string run_with_runner(std::string_view runner_digest) const;
  // Runs and sessions that have not ended, by id.
  std::vector<std::shared_ptr<const LiveRun>> unended() const;
  // Those of an earlier tared whose sandboxes live; known when the launcher has listed them.
  std::vector<std::shared_ptr<LiveRun>> reattached() const;
  // The digests of the inputs of all runs that have not ended.
  std::set<std::string, std::less<>> inputs_in_use() const;
  std::size_t active() const { return table_.size(); }
  bool recovered() const { return recovered_; }

  // A session that hibernates, and whose time is over.
  Result<> end_by_age(const std::shared_ptr<LiveRun>& live);
  // Its sandbox goes: what it was is on record (`hibernated`), and it can be woken.
  void end_sandbox(const std::string& id) { send_later(sandbox::KillMessage{id}); }

  void on_launcher_gone(const std::string& why) override;
  void on_live(const sandbox::LiveMessage& message, std::vector<sys::UniqueFd> fds) override;
  void on_listed() override;
  void on_started(const sandbox::StartedMessage& message) override;
  void on_denied(const sandbox::DeniedMessage& message) override;
  void on_ended(const sandbox::EndedMessage& message, sys::UniqueFd output) override;

 private:
  using LivePtr = std::shared_ptr<LiveRun>;
  model::Run new_run(NewRun& wanted);
  model::RunEvent launching_event() const;
  bool never_reached(const LiveRun& live) const;
  void launch_again(const LivePtr& live);
  void start_driver(LivePtr live);
  void forget(const LivePtr& live);
  Result<> wake(const LivePtr& live);
  void rest(const LivePtr& live);
  void start_queued();
  void launch_queued(const LivePtr& live);
  Result<model::Run> end_queued(const LivePtr& live);
  void end_orphan(const LivePtr& live);
  Result<model::Run> end_without_sandbox(const LivePtr& live, const model::RunEvent& end);
  void send_later(sandbox::ToLauncher message);

  const RunDeps& deps_;
  RunIdGenerator ids_;
  RunDriver driver_;
  std::map<std::string, LivePtr, std::less<>> table_;
  std::deque<LivePtr> queue_;
  std::size_t driven_ = 0;
  bool recovered_ = false;
  std::set<std::string> listed_;   // by the launcher, since the connection was made
  std::set<std::string> strange_;  // of those, the ones that are not ours
  fiber::TaskGroup drivers_;       // last: the fibers refer to the rest
};

}  // namespace tare::host
