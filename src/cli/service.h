// The three daemons of a home taken together: started in order, waited for, ended in order. Needs
// root.
//
//   tare-launcher, tare-store  ->  tared  ->  GET /v1/health says ready
//
// What is up already is left alone. One `tare up` or `tare down` at a time: run/up.lock. Errors
// name the program that failed, with the last lines of its log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/app.h"
#include "cli/daemons.h"
#include "cli/home.h"
#include "fiber/context.h"
#include "sys/fd.h"
#include "sys/users.h"

namespace tare::cli {

struct ServiceOptions {
  Home home;
  sys::SystemUser user;
  std::uint16_t port = kDefaultPort;
  std::optional<std::uint32_t> pool = {};  // not set: tare-launcher's own default
  bool rootless = false;                   // everything as `user`, who is the caller
};

// Held as long as the descriptor is.
Result<sys::UniqueFd> lock_home(const Home& home, const fiber::Context& ctx);

// Starts what is not up and adds it to `started`; returns when tared is ready.
Result<> start_service(App& app, const ServiceOptions& options, std::vector<Daemon>& started,
                       const fiber::Context& ctx);

struct Stopped {
  std::vector<std::string> programs;  // that were ended
  std::size_t sessions = 0;           // that were awake and hibernate
  std::size_t runs = 0;               // that were active and are killed
};
// Sessions that may hibernate do, and active runs are killed, so that their records say so; then
// tared, tare-store, tare-launcher are ended.
Result<Stopped> stop_service(App& app, const Home& home, const fiber::Context& ctx);

}  // namespace tare::cli
