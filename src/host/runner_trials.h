// RunnerTrials: is a runner good in the environment of a session? Its handshake is made in a
// scratch sandbox of the same environment, with the same variables, user and limits
// (runner_scratch.h).
//
// What was found good is remembered, in memory, as long as nothing it rests on can have changed:
// the bytes of a runner and of an environment never do. On `host` they may, so there the programs
// that the runner needs are a part of what is remembered (host_programs.h), for kHostMemory at
// most. What failed is not remembered.
//
// Owner: main. Loop thread only. Errors: Errc::conflict with what the runner needs and what it did
// instead; those of a run that cannot be made. What never happens: two trials of the same at once;
// more than kMostTrials are remembered.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "fiber/context.h"
#include "fiber/event.h"
#include "fiber/task_group.h"
#include "host/layer_gate.h"
#include "host/live_run.h"
#include "model/runner.h"

namespace tare::host {

inline constexpr std::size_t kMostTrials = 1024;
inline constexpr std::chrono::hours kHostMemory{1};
inline constexpr std::size_t kMostTriedAhead = 8;
// How long whoever adds a version waits for what is tried ahead of time.
inline constexpr std::chrono::seconds kAheadPatience{1};

// Both without a nullptr.
struct TrialPorts {
  std::function<Result<>(const LiveRun& session, const model::Runner& runner,
                         const fiber::Context& ctx)>
      try_in_scratch;
  std::function<std::vector<std::shared_ptr<LiveRun>>()> sessions;  // that have not ended
};

class RunnerTrials {
 public:
  RunnerTrials(const Clock& clock, const Logger& log, LayerGate& layers, TrialPorts ports,
               const fiber::Context& ctx)
      : clock_(clock), log_(log), layers_(layers), ports_(std::move(ports)), ahead_(ctx) {}

  // When `ctx` ends the trial goes on, and nobody waits for it.
  Result<> good_in(const LiveRun& session, const model::Runner& runner, const fiber::Context& ctx);
  // For a version that was just added or rolled out: tried in the environments of the first
  // kMostTriedAhead sessions that could be given it, one after the other, those that are awake
  // first. Waits for it, kAheadPatience at most; then it goes on by itself.
  void try_ahead(const model::Runner& runner, const fiber::Context& ctx);

 private:
  struct Pending {
    std::optional<Result<>> answer;
    fiber::Event answered;
  };
  std::optional<std::string> key_of(const model::Run& session, const model::Runner& runner) const;
  bool knows(const std::string& key) const;
  void remember(const std::string& key, bool frozen);
  Result<> try_together(const LiveRun& session, const model::Runner& runner, const std::string& key,
                        const fiber::Context& ctx);
  void try_in_sessions(const model::Runner& runner, const fiber::Context& ctx);

  const Clock& clock_;
  const Logger& log_;
  LayerGate& layers_;
  TrialPorts ports_;
  // What all of it rests on, as text; until when, in ms of the monotonic clock, 0: for ever.
  std::map<std::string, std::uint64_t, std::less<>> good_;
  std::map<std::string, std::shared_ptr<Pending>, std::less<>> pending_;
  fiber::TaskGroup ahead_;  // last: its fibers refer to the rest
};

}  // namespace tare::host
