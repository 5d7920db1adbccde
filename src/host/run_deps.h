// What the code that moves runs along works with; built once in daemon.cpp.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/offload.h"
#include "host/base_plans.h"
#include "host/config.h"
#include "host/flat_chains.h"
#include "host/known_secrets.h"
#include "host/launcher_link.h"
#include "host/layer_gate.h"
#include "host/records.h"
#include "host/run_logs.h"
#include "host/store_link.h"
#include "model/sandbox_spec.h"
#include "runs/blobs.h"

namespace tare::host {

// One tenant to begin with; every row and call names it.
inline constexpr std::string_view kTenant = "default";

struct RunDeps {
  const Config& config;
  Clock& clock;
  const Logger& log;
  Records& records;
  LauncherLink& launcher;
  StoreLink& store;
  RunLogs& logs;
  const runs::Blobs& blobs;
  fiber::Offload& offload;
  const Filters& filters;
  BasePlans& base_plans;
  LayerGate& layers;
  FlatChains& flat;
  const KnownSecrets& secrets;
  int runs_dir;  // $TARE_HOME/runs
};

}  // namespace tare::host
