#include "cli/service.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include <fmt/core.h>

#include "base/limits.h"
#include "cli/render.h"
#include "fiber/timer.h"
#include "model/run.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kReadyWithin{60};  // one fsync can take seconds; a daemon that ended is seen
constexpr seconds kLockWithin{15};
constexpr seconds kRunsEndWithin{10}, kSessionsRestWithin{120};
constexpr seconds kDaemonPatience{15};  // from SIGTERM to SIGKILL
constexpr milliseconds kPause{10}, kLockPause{50};

struct Plan {
  std::string_view name;
  std::string socket;
  std::vector<std::string> arguments;
};

Plan plan_of(std::string_view name, const ServiceOptions& options) {
  const Home& home = options.home;
  Plan plan{name, {}, {"--home", home.path, "--user", options.user.name}};
  // Those that need root make themselves one, in a user namespace of their own.
  if (options.rootless && name != kTared) plan.arguments = {"--home", home.path, "--rootless"};
  if (name == kLauncher) {
    plan.socket = home.launcher_socket();
    if (options.pool)
      plan.arguments.insert(plan.arguments.end(), {"--pool", std::to_string(*options.pool)});
  }
  if (name == kStore) plan.socket = home.store_socket();
  if (name == kTared) {
    plan.socket = home.tared_socket();
    plan.arguments.insert(plan.arguments.end(), {"--port", std::to_string(options.port)});
  }
  return plan;
}

// Starts those that are not up at the same time, then waits for each.
Result<> start_those(const std::vector<Plan>& plans, const Home& home, std::vector<Daemon>& started,
                     const fiber::Context& ctx) {
  std::vector<std::pair<std::size_t, const Plan*>> waiting;
  for (const Plan& plan : plans) {
    if (is_up(plan.socket)) continue;
    started.push_back(TRY(start_daemon(home, plan.name, plan.arguments)));
    waiting.emplace_back(started.size() - 1, &plan);
  }
  for (const auto& [index, plan] : waiting)
    TRY(wait_until_up(home, started[index], plan->socket, ctx));
  return ok();
}

// Why tared is not ready: the programs it misses, and what was logged.
Error not_ready(const Json& health, const Home& home, const std::vector<Daemon>& started) {
  std::string text = "tared is up but not ready";
  for (const Json& program : array_at(health, "programs")) {
    if (flag_at(program, {"connected"})) continue;
    text += fmt::format("; {}: {}", text_at(program, {"name"}), text_at(program, {"detail"}));
  }
  for (const Daemon& daemon : started) {
    const std::string lines = last_log_lines(home, daemon);
    if (!lines.empty()) text += fmt::format("\nthe end of {}:{}", home.log_of(daemon.name), lines);
  }
  return Error{Errc::timeout, std::move(text)};
}

// All of one release, or it is no use to wait.
Result<> check_releases(const Json& health) {
  if (const auto version = text_at(health, {"version"}); version != TARE_VERSION) {
    return Error{Errc::conflict,
                 fmt::format("tared is of release {}, this `tare` of {}: run `tare down`, then "
                             "`tare up`",
                             printable(version), TARE_VERSION)};
  }
  for (const Json& program : array_at(health, "programs")) {
    if (flag_at(program, {"connected"}) || text_at(program, {"version"}).empty()) continue;
    return Error{Errc::conflict, printable(text_at(program, {"detail"}), 300)};
  }
  return ok();
}

// One that was killed holds its socket until its last thread is gone: it looked as if it were up.
Result<> start_those_gone(const ServiceOptions& options, std::vector<Daemon>& started) {
  for (const std::string_view name : {kLauncher, kStore, kTared}) {
    const Plan plan = plan_of(name, options);
    const bool ours = std::any_of(started.begin(), started.end(),
                                  [&](const Daemon& daemon) { return daemon.name == name; });
    if (ours || is_up(plan.socket)) continue;
    started.push_back(TRY(start_daemon(options.home, name, plan.arguments)));
  }
  return ok();
}

Result<> wait_ready(App& app, const ServiceOptions& options, std::vector<Daemon>& started,
                    const fiber::Context& ctx) {
  const Home& home = options.home;
  Json health;
  for (;;) {
    auto answer = app.client.get("/v1/health", ctx);
    if (answer) {
      health = std::move(answer->body);
      TRY(check_releases(health));
    }
    if (answer && flag_at(health, {"ready"})) return ok();
    if (!answer && answer.error().code != Errc::unavailable) return std::move(answer).error();
    TRY(start_those_gone(options, started));
    for (const Daemon& daemon : started) {
      if (daemon.process.ended()) return why_ended(home, daemon);
    }
    auto slept = fiber::sleep_for(kPause, ctx);
    if (!slept && slept.error().code == Errc::timeout) return not_ready(health, home, started);
    TRY(std::move(slept));
  }
}

Result<std::vector<Json>> runs_in(std::string_view state, App& app, const fiber::Context& ctx) {
  auto page = TRY(
      app.client.get(fmt::format("/v1/runs?state={}&limit={}", state, kMaxListedRuns), ctx));
  std::vector<Json> found;
  for (const Json& run : array_at(page.body, "runs")) found.push_back(run);
  return found;
}

// A session that is to be there again: not one that was to end when nobody wants it.
bool may_rest(const Json& run) {
  return flag_at(run, {"request", "session"}) &&
         (flag_at(run, {"request", "durable"}) ||
          text_at(run, {"request", "on_idle"}) != model::to_string(model::OnIdle::kill));
}

// Those that cannot are killed with the runs.
std::size_t hibernate_sessions(App& app, const fiber::Context& ctx) {
  const fiber::Context limited = ctx.with_timeout(kSessionsRestWithin);
  std::size_t rested = 0;
  std::set<std::string> tried;
  for (bool more = true; more;) {
    more = false;
    const auto running = runs_in("running", app, limited);
    if (!running) break;
    for (const Json& run : *running) {
      const std::string id = text_at(run, {"id"});
      if (!may_rest(run) || !tried.insert(id).second) continue;
      more = true;
      const auto done = app.client.post_and_wait("/v1/sessions/" + id + "/hibernate", limited);
      if (done) {
        ++rested;
      } else {
        app.note(
            fmt::format("session {} cannot hibernate and is killed: {}", id, done.error().message),
            ctx);
      }
    }
  }
  return rested;
}

// Returns how many there were. A tared that does not answer is no reason not to end it. Sessions
// that hibernate have no process, and stay.
std::size_t kill_active_runs(App& app, const fiber::Context& ctx) {
  const fiber::Context limited = ctx.with_timeout(kRunsEndWithin);
  std::vector<std::string> killed;
  for (bool any = true; any;) {
    any = false;
    for (const std::string_view state : {"queued", "starting", "running"}) {
      const auto runs = runs_in(state, app, limited);
      if (!runs) return killed.size();
      for (const Json& run : *runs) {
        any = true;
        const std::string id = text_at(run, {"id"});
        if (std::find(killed.begin(), killed.end(), id) != killed.end()) continue;
        if (app.client.post_empty(run_path(id, "/kill"), limited)) killed.push_back(id);
      }
    }
    if (any && !fiber::sleep_for(kPause, limited)) break;
  }
  return killed.size();
}

}  // namespace

Result<sys::UniqueFd> lock_home(const Home& home, const fiber::Context& ctx) {
  auto fd = TRY(sys::open_at(sys::kCwd, home.lock(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  const fiber::Context limited = ctx.with_timeout(kLockWithin);
  while (!TRY(sys::try_lock_exclusive(fd.get()))) {
    auto slept = fiber::sleep_for(kLockPause, limited);
    if (!slept && slept.error().code == Errc::timeout) {
      return Error{Errc::conflict,
                   fmt::format("another `tare up` or `tare down` holds {}", home.lock())};
    }
    TRY(std::move(slept));
  }
  return fd;
}

Result<> start_service(App& app, const ServiceOptions& options, std::vector<Daemon>& started,
                       const fiber::Context& ctx) {
  for (const std::string_view name : {kLauncher, kStore, kTared}) TRY(find_program(name));
  const fiber::Context limited = ctx.with_timeout(kReadyWithin);
  TRY(start_those({plan_of(kLauncher, options), plan_of(kStore, options)}, options.home, started,
                  limited));
  TRY(start_those({plan_of(kTared, options)}, options.home, started, limited));
  return wait_ready(app, options, started, limited);
}

Result<Stopped> stop_service(App& app, const Home& home, const fiber::Context& ctx) {
  Stopped stopped;
  if (is_up(home.tared_socket())) {
    stopped.sessions = hibernate_sessions(app, ctx);
    stopped.runs = kill_active_runs(app, ctx);
  }
  const std::pair<std::string_view, std::string> order[] = {{kTared, home.tared_socket()},
                                                            {kStore, home.store_socket()},
                                                            {kLauncher, home.launcher_socket()}};
  for (const auto& [name, socket] : order) {
    const auto process = TRY(find_daemon(name, socket, ctx));
    if (!process) continue;
    if (TRY(end_process(*process, kDaemonPatience, ctx))) {
      app.note(fmt::format("{} did not end within {} s of SIGTERM: killed", name,
                           kDaemonPatience.count()),
               ctx);
    }
    stopped.programs.emplace_back(name);
  }
  return stopped;
}

}  // namespace tare::cli
