// What every command gets, made by main, and what it prints with. A command is a function
//
//   Result<int> run_command(const PsCommand& command, App& app, const fiber::Context& ctx);
//
// (commands.h) that returns the exit status; an Error is printed by main as one line and exits by
// exit_status.h.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "cli/client.h"
#include "cli/std_streams.h"
#include "fiber/context.h"

namespace tare::cli {

struct App {
  Target target;
  Client client;
  StdOutput out{1};
  StdOutput err{2};
  Clock& clock;
  Random& random;

  Result<> print(std::string_view text, const fiber::Context& ctx) { return out.write(text, ctx); }
  // "tare: message" on stderr, made safe for a terminal. A stderr that cannot be written to is no
  // error.
  void note(std::string_view message, const fiber::Context& ctx);
};

// A run id as typed: the whole, or the start or end of one of the newest kMaxListedRuns.
// Errors: Errc::not_found; Errc::conflict when several match.
Result<std::string> resolve_run(App& app, const std::string& text, const fiber::Context& ctx);

// Until it has ended, and its record and files are there; for half a minute at most, then it is
// said.
Result<> wait_ended(App& app, const std::string& id, const fiber::Context& ctx);

// "/v1/runs/run_...".
std::string run_path(std::string_view id, std::string_view rest = "");

}  // namespace tare::cli
