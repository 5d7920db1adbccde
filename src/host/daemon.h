// tared, put together: opens the database, connects to the launcher and the store, serves until
// SIGTERM or SIGINT. Owner: main. Returns when everything has been flushed; live sandboxes stay
// with the launcher.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "host/config.h"
#include "host/home.h"
#include "sys/fd.h"
#include "vault/key.h"

namespace tare::host {

struct DaemonDeps {
  const Config& config;
  Prepared& prepared;
  Clock& clock;
  Random& random;
  const Logger& log;
  const sys::UniqueFd& files_program;  // tare-files
  const vault::Key* vault_key;         // the credential; nullptr: state/vault.key
};
Result<> run_daemon(const DaemonDeps& deps);

}  // namespace tare::host
