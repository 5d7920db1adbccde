// Runners: adding, finding and removing them, and which of them the runs of an agent get
// (model/rollout.h). A runner is a layer of its own: neither environments nor agents change by it.
//
// Owner: main. Loop thread only. Errors: Errc::invalid naming the key or file; not_found with the
// fix; conflict for a version that is there with other files, or is in use.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/run_service.h"
#include "host/runner_trials.h"
#include "host/uploaded_files.h"
#include "model/agent.h"
#include "model/rollout.h"
#include "model/runner.h"

namespace tare::host {

class Runners {
 public:
  Runners(const RunDeps& deps, RunService& runs, RunnerTrials& trials)
      : deps_(deps), runs_(runs), trials_(trials) {}

  // From a folder's files, of which runner.toml is one. A new one is then tried ahead of time where
  // live sessions could be given it.
  Result<runs::StoredRunner> add(std::vector<UploadedFile> files, const fiber::Context& ctx);
  // Without a version: the one added last.
  Result<model::Runner> get(const model::RunnerRef& ref);
  Result<std::vector<model::Runner>> list();
  // Conflict while a run that has not ended, an agent or a roll-out needs it.
  Result<> remove(const model::RunnerRef& ref, const fiber::Context& ctx);

  // `runner` as the agent's manifest has it: that version, or what its roll-out gives this run.
  Result<model::Runner> chosen(const std::string& agent, const std::string& runner,
                               const std::string& run_id);
  // Of a version of an agent that is about to be stored: its runner is there, and rolled out.
  Result<> begin(runs::Store& store, const model::Agent& agent);

  // From the next run on `runner` has `percent` of the agent's runs.
  Result<model::Rollout> use(const model::RunnerRef& runner, const std::string& agent,
                             std::uint32_t percent, const fiber::Context& ctx);
  // What held before the newest holds again; once more, what held before that.
  Result<model::Rollout> back(const std::string& agent, const fiber::Context& ctx);
  // Newest first.
  Result<std::vector<model::Rollout>> history(const std::string& agent);

 private:
  Result<model::RunnerManifest> manifest_of(const std::vector<UploadedFile>& files);
  Result<> refuse_if_run(const model::Runner& runner) const;
  // So that the next run with it finds a sandbox ready.
  void make_ready(const std::string& agent, const model::RunnerRef& ref, const fiber::Context& ctx);

  Result<model::Runner> unless_going(model::Runner runner) const;

  const RunDeps& deps_;
  RunService& runs_;
  RunnerTrials& trials_;
  std::set<std::string> going_;  // versions that are being removed: nobody gets them
};

// Of an upload: names that a runner can have, each once, runner.toml among them. Pure.
Result<> check_runner_files(const std::vector<UploadedFile>& files);

}  // namespace tare::host
