// RunDriver: the story of one run, from the launch (or from where an earlier tared left it) to the
// recorded end. One fiber for each run.
//
//   prepare -> Launch -> (run row written) -> open the gate -> pump stdout, stderr ->
//   (run row durable) -> Ended -> collect /output -> end durable -> Release
//
// Of a session that hibernates (sessions.h) it ends with the sandbox, and begins again when it is
// woken.
//
// Owner: RunService. Loop thread only. Errors: Errc::cancelled when tared stops, and then nothing
// is changed: the sandbox stays with the launcher. Everything else becomes the run's outcome. What
// never happens: anything of a program is seen outside its sandbox before the run is durable; an
// instruction of one that has a network before then; a release before its end is.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "fiber/context.h"
#include "host/live_run.h"
#include "host/run_deps.h"
#include "runs/store.h"

namespace tare::host {

class RunDriver {
 public:
  explicit RunDriver(const RunDeps& deps) : deps_(deps) {}

  Result<> drive(LiveRun& live, const fiber::Context& ctx) const;

 private:
  Result<model::RunEvent> story(LiveRun& live, const fiber::Context& ctx) const;
  Result<> launch(LiveRun& live, const fiber::Context& ctx) const;
  Result<> end_sandbox(LiveRun& live, const fiber::Context& ctx) const;
  Result<> watch(LiveRun& live, const fiber::Context& ctx) const;
  Result<bool> to_be_launched_again(LiveRun& live) const;
  Result<> take_up(LiveRun& live, const fiber::Context& ctx) const;
  void pump(LiveRun& live, runs::Stream stream, int pipe, const fiber::Context& ctx) const;
  Result<> pump_all(LiveRun& live, runs::Stream stream, int pipe, const fiber::Context& ctx) const;
  void hit_output_limit(LiveRun& live, const fiber::Context& ctx) const;
  void import(LiveRun& live, const fiber::Context& ctx) const;
  Result<> store_image(LiveRun& live, const fiber::Context& ctx) const;
  void feed(LiveRun& live, const fiber::Context& ctx) const;
  Result<> follow(LiveRun& live, const fiber::Context& ctx) const;
  void record_started(LiveRun& live) const;
  Result<> collect(LiveRun& live, const fiber::Context& ctx) const;
  Result<> name_missing_layer(LiveRun& live, const fiber::Context& ctx) const;
  model::RunEvent ending(LiveRun& live) const;
  Result<> fall_asleep(LiveRun& live, std::optional<model::RunEvent> end,
                       const fiber::Context& ctx) const;
  Result<> commit(LiveRun& live, const fiber::Context& ctx) const;
  using Recording = std::function<Result<runs::AppendedEvent>(runs::Store&)>;
  using OnRefused = std::function<void(const Error& why)>;
  Result<runs::AppendedEvent> record_at_last(const LiveRun& live, std::string_view refused,
                                             const Recording& operation, const fiber::Context& ctx,
                                             const OnRefused& on_refused = nullptr) const;
  Result<model::Run> store_discarded(LiveRun& live, const fiber::Context& ctx) const;
  Result<model::Run> store_unless_given_up(LiveRun& live, const fiber::Context& ctx) const;
  void hold(LiveRun& live, const Error& why) const;
  Result<> keep_discarded(LiveRun& live, const fiber::Context& ctx) const;
  Result<> record_end(LiveRun& live, model::RunEvent event, const fiber::Context& ctx) const;
  // Something on our side went wrong: the run cannot succeed any more.
  void fail(LiveRun& live, Error why, const fiber::Context& ctx) const;

  const RunDeps& deps_;
};

// A session that has something to go back to, and nothing of its own has ended it: it hibernates.
bool sleeps_on(const LiveRun& live, const model::RunEvent& end);
// A run that ended before, or without, anything the launcher could say.
model::RunEvent ended_early(const Error& why, std::uint64_t at_ms);

}  // namespace tare::host
