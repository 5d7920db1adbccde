// Checkpoints: what awake sessions have changed is kept as layers, and they go on. A session whose
// sandbox is lost wakes with its last one.
//
//   asked --stop--> standing --store--> layers durable --> goes on --`checkpointed` durable--> kept
//
// A crash before `checkpointed` leaves the checkpoint before; the sandbox goes on in any case (the
// launcher lets it, when its tared is gone). Each is of all that has changed since the session
// woke, and takes the place of the one before, whose layers nobody needs any more.
//
// Those who ask while one is being made share the next: however many wait, there are two at most.
//
// Layers that were replaced go as soon as nothing is being stored. Until then each session's record
// lists the last of them, and this tared remembers the others: `env gc` has those that neither does
// any more.
//
// Owner: main. Loop thread only. Errors: Errc::conflict for a session that cannot be (a secret in
// its files, named; it is ending); conflict when its sandbox went before it was kept; the store's.
// What never happens: hold() returns without an error for what no checkpoint or hibernation holds.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/task_group.h"
#include "host/run_service.h"

namespace tare::host {

class Checkpoints {
 public:
  Checkpoints(const RunDeps& deps, RunService& runs, const fiber::Context& ctx)
      : deps_(deps), runs_(runs), tasks_(ctx) {}

  // All that the session has changed is kept when this returns. Of one that sleeps nothing is done,
  // nor of one that cannot have changed since the last.
  Result<model::Run> make(const std::string& id, const fiber::Context& ctx);
  // Until what was done in its sandbox of that attempt, and is done, is kept.
  Result<> hold(const std::shared_ptr<LiveRun>& live, std::uint32_t attempt,
                const fiber::Context& ctx);
  // Called now and then: makes one by itself, when it is time.
  void look_at(const std::shared_ptr<LiveRun>& live);
  // Likewise: removes layers of checkpoints that others have taken the place of.
  void tidy();

 private:
  void work(const std::shared_ptr<LiveRun>& live);
  Result<> make_one(LiveRun& live, std::uint64_t& covers, const fiber::Context& ctx);
  Result<> record(LiveRun& live, model::OwnLayers own, std::uint64_t at_ms);
  void record_failure(LiveRun& live, const Error& why);
  void remember(const std::vector<std::string>& unlisted);
  std::vector<std::string> replaced() const;
  Result<> remove_replaced(const std::vector<std::string>& digests, const fiber::Context& ctx);

  const RunDeps& deps_;
  RunService& runs_;
  // Layers that were replaced and for which their session's record has no room.
  std::set<std::string> unlisted_;
  bool too_many_told_ = false;
  fiber::Clock::time_point tidied_at_ = {};
  bool tidying_ = false, tidy_failed_ = false;  // the last one
  fiber::TaskGroup tasks_;                      // last: the fibers refer to the rest
};

}  // namespace tare::host
