// Admission: from what a client asks for to a complete RunRequest: the agent's version, the
// environment's digest, the inputs' sizes, the limits. The same for every surface.
//
// Owner: main. Loop thread only. Errors: Errc::invalid naming the field; not_found with the fix.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "host/agents.h"
#include "host/environments.h"
#include "host/runners.h"
#include "model/run.h"

namespace tare::host {

// A request as it was asked; what is not set takes the agent's or the default.
struct RunWish {
  std::string agent;          // or `environment`
  std::uint32_t version = 0;  // 0: the newest
  std::string environment;
  std::string runner;  // with `environment`: a runner to show in it; argv is then what it is given
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::optional<std::string> user, profile;
  std::optional<Json> limits;  // an object; decoded over the agent's
  std::vector<model::InputFile> inputs;
  bool session = false;  // without argv
  std::uint64_t idle_timeout_ms = 0;
  model::OnIdle on_idle = model::OnIdle::hibernate;
  std::uint64_t checkpoint_interval_ms = 0;
  bool durable = false;
  std::string run_id;  // of the run that it will be: a part of the runs has another runner
  bool with_stdin = false;
  bool attach = false;
  std::string idempotency_key;
};

class Admission {
 public:
  Admission(const RunDeps& deps, Agents& agents, Environments& environments, Runners& runners)
      : deps_(deps), agents_(agents), environments_(environments), runners_(runners) {}

  Result<model::RunRequest> admit(const RunWish& wish);

 private:
  Result<model::RunRequest> from_agent(const RunWish& wish);
  Result<model::RunRequest> ad_hoc(const RunWish& wish);

  const RunDeps& deps_;
  Agents& agents_;
  Environments& environments_;
  Runners& runners_;
};

// Variables of `over` replace those of the same name in `base`. Pure.
std::vector<std::string> merge_env(const std::vector<std::string>& base,
                                   const std::vector<std::string>& over);

}  // namespace tare::host
