// What the surfaces (src/api) are given to work with, and the port through which tared gets them:
// host knows no surface, so it declares here what it needs and src/api defines it.
#pragma once

#include <string>
#include <vector>

#include "base/hash.h"
#include "host/admission.h"
#include "host/agents.h"
#include "host/canaries.h"
#include "host/environments.h"
#include "host/exec_service.h"
#include "host/run_deps.h"
#include "host/run_service.h"
#include "host/runner_swap.h"
#include "host/runners.h"
#include "host/sandbox_files.h"
#include "host/secrets.h"
#include "host/sessions.h"
#include "http/server.h"

namespace tare::host {

struct Services {
  const RunDeps& deps;
  RunService& runs;
  ExecService& execs;
  Sessions& sessions;
  Checkpoints& checkpoints;
  SandboxFiles& files;
  Environments& environments;
  Runners& runners;
  RunnerSwap& runner_swap;
  Agents& agents;
  Admission& admission;
  Canaries& canaries;
  Secrets& secrets;
  runs::Blobs& blobs;
  Sha256Digest api_key;  // of the key in state/api_key
  std::string address;   // of the TCP listener
  std::string kernel;    // uname
};

// Defined in src/api/surface.cpp. `services` must outlive what is returned.
std::vector<http::Route> surface_routes(Services& services);
http::ServerOptions surface_options(Services& services);

}  // namespace tare::host
