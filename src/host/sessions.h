// Sessions that are come back to: hibernate (what they have changed becomes layers, their processes
// and their memory go), be forked, and what happens to those of which nothing is wanted.
//
//   running --stop--> standing --store--> layers durable --`hibernated` durable--> sandbox ends
//
// A crash before `hibernated` leaves the session running (the launcher lets it go on); after it the
// session sleeps, and a sandbox that is still there is ended. Waking is RunService::running().
//
// Owner: main; keep() is a fiber of its own. Loop thread only. Errors: Errc::conflict for a session
// that is not in a state for it, exhausted for one with too many layers, the store's. What never
// happens: a session sleeps before what it has changed is durable; two sandboxes of one session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/task_group.h"
#include "host/checkpoints.h"
#include "host/run_service.h"

namespace tare::host {

inline constexpr std::size_t kMaxForks = 64;  // of one request

class Sessions {
 public:
  Sessions(const RunDeps& deps, RunService& runs, Checkpoints& checkpoints,
           const fiber::Context& ctx)
      : deps_(deps), runs_(runs), checkpoints_(checkpoints), tasks_(ctx) {}

  // Its sandbox is gone when this returns; of one that sleeps nothing is done. `why`: for people.
  Result<model::Run> hibernate(const std::string& id, const std::string& why,
                               const fiber::Context& ctx);
  // Its sandbox is there when this returns.
  Result<model::Run> wake(const std::string& id, const fiber::Context& ctx);
  // New sessions that begin as what this one is now, on disk; it goes on. Their processes are none.
  Result<std::vector<model::Run>> fork(const std::string& id, std::size_t count,
                                       const fiber::Context& ctx);

  // As RunService::kill(), of any run. A session that sleeps with files of its own is woken for it:
  // what is in its /output is collected from a sandbox. One that cannot be woken now sleeps on (an
  // error says why), unless by `force`, which loses its /output.
  enum class Force : std::uint8_t { no, yes };
  Result<std::pair<model::Run, bool>> end(const std::string& id, Force force,
                                          const fiber::Context& ctx);

  // Until ctx ends: sees to idle timeouts, to the age of those that sleep, and to checkpoints.
  void keep(const fiber::Context& ctx);

 private:
  Result<> put_to_sleep(LiveRun& live, const std::string& why, const fiber::Context& ctx);
  Result<> wake_for_output(LiveRun& live, const fiber::Context& ctx);
  void look_at(const std::shared_ptr<LiveRun>& live);
  void on_idle(const std::shared_ptr<LiveRun>& live);
  void on_age(const std::shared_ptr<LiveRun>& live);

  const RunDeps& deps_;
  RunService& runs_;
  Checkpoints& checkpoints_;
  fiber::TaskGroup tasks_;  // last: the fibers refer to the rest
};

}  // namespace tare::host
