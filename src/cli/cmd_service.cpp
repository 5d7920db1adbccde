// tare up and down.
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "cli/service.h"
#include "fiber/signals.h"
#include "fiber/timer.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

constexpr std::chrono::milliseconds kWatchPause{300};
constexpr std::chrono::seconds kEndPatience{5};
constexpr int kMaxRestarts = 20;  // of daemons that were killed, in the life of one `tare up`

bool is_root() { return ::geteuid() == 0; }

// Without root the service is the caller's own, in a home of their own.
Result<> need_own_home(const App& app) {
  if (is_root() || app.target.home != kDefaultHome) return ok();
  return Error{Errc::denied,
               fmt::format("{} is the home of the service that root starts; as an ordinary user "
                           "give one of your own: --home ~/.local/share/tare, or TARE_HOME (see "
                           "`tare doctor` for what else that takes)",
                           kDefaultHome)};
}

Result<> need_owner(const Home& home) {
  if (is_root()) return ok();
  const auto st = TRY(sys::stat_at(sys::kCwd, home.path));
  if (st.st_uid == ::geteuid()) return ok();
  return Error{Errc::denied, fmt::format("`tare down` needs root: {} is not yours", home.path)};
}

// Where everything is, from what tared wrote down.
std::string where_text(const Home& home) {
  std::string out = fmt::format("tared is ready\n  socket   {}\n", home.tared_socket());
  auto text = sys::read_file_at(sys::kCwd, home.tared_info());
  auto info = text ? parse_json(*text) : Result<Json>(std::move(text).error());
  if (info) {
    if (const std::string address = text_at(*info, {"address"}); !address.empty()) {
      out += fmt::format("  TCP      http://{}\n  API key  {}\n", printable(address),
                         home.api_key());
    }
  }
  return out;
}

Result<> print_stopped(App& app, const Stopped& stopped, const fiber::Context& ctx) {
  const std::string runs = stopped.runs == 0 ? "no run was active"
                           : stopped.runs == 1
                               ? "1 active run was killed"
                               : fmt::format("{} active runs were killed", stopped.runs);
  const std::string sessions = stopped.sessions == 0 ? ""
                               : stopped.sessions == 1
                                   ? "; 1 session hibernates until the next `tare up`"
                                   : fmt::format("; {} sessions hibernate until the next `tare up`",
                                                 stopped.sessions);
  return app.print(
      fmt::format("ended {}; {}{}\n", fmt::join(stopped.programs, ", "), runs, sessions), ctx);
}

std::string end_text(const sys::ExitStatus& status) {
  return fmt::format("{} {}", status.signalled ? "signal" : "exit status", status.code);
}

// What fails to start leaves nothing behind that was not there before.
Result<> start_or_nothing(App& app, const ServiceOptions& options, std::vector<Daemon>& started,
                          const fiber::Context& ctx) {
  const auto lock = TRY(lock_home(options.home, ctx));
  auto done = start_service(app, options, started, ctx);
  if (done) return ok();
  for (auto daemon = started.rbegin(); daemon != started.rend(); ++daemon) {
    static_cast<void>(end_process(daemon->process, kEndPatience, ctx));
  }
  return done;
}

// `tare up` in the foreground: stays with the daemons it has started until a signal comes or
// somebody else ends them; starts again what was killed.
class Watch {
 public:
  Watch(App& app, const ServiceOptions& options, std::vector<Daemon>& started)
      : app_(app), options_(options), started_(started) {}

  Result<> until_signal(fiber::Signals& signals, const fiber::Context& ctx) {
    for (;;) {
      const auto number = signals.wait(ctx.with_timeout(kWatchPause));
      if (number) return ok();
      if (number.error().code != Errc::timeout) return number.error();
      if (!TRY(look(ctx))) return ok();
    }
  }

 private:
  // False when a daemon was ended on purpose.
  Result<bool> look(const fiber::Context& ctx) {
    bool restart = false;
    for (auto it = started_.begin(); it != started_.end();) {
      if (!it->process.ended()) {
        ++it;
        continue;
      }
      const auto status = TRY(it->process.reap());
      const bool on_purpose = status.signalled ? status.code == SIGTERM : status.code == 0;
      app_.note(fmt::format("{} has ended ({})", it->name, end_text(status)), ctx);
      it = started_.erase(it);
      if (on_purpose) return false;
      restart = true;
    }
    if (restart) TRY(start_again(ctx));
    return true;
  }

  Result<> start_again(const fiber::Context& ctx) {
    if (++restarts_ > kMaxRestarts)
      return Error{Errc::exhausted, "too many restarts: see the logs"};
    const auto lock = TRY(lock_home(options_.home, ctx));
    TRY(start_service(app_, options_, started_, ctx));
    app_.note("started again", ctx);
    return ok();
  }

  App& app_;
  const ServiceOptions& options_;
  std::vector<Daemon>& started_;
  int restarts_ = 0;
};

}  // namespace

Result<int> run_command(const UpCommand& command, App& app, const fiber::Context& ctx) {
  TRY(need_own_home(app));
  if (!app.target.url.empty())
    return Error{Errc::invalid, "up starts daemons on this machine: no --url"};
  const std::uint16_t usual_port = app.target.home == kDefaultHome ? kDefaultPort : 0;
  const ServiceOptions options{{app.target.home},
                               TRY(is_root() ? sys::find_user(command.user) : sys::own_user()),
                               command.port.value_or(usual_port),
                               command.pool,
                               !is_root()};
  // Blocked before any daemon runs, so that a Ctrl-C in between ends them too.
  std::optional<fiber::Signals> signals;
  if (!command.detach) signals = TRY(fiber::Signals::block({SIGINT, SIGTERM, SIGHUP}));
  std::vector<Daemon> started;
  TRY(options.rootless ? prepare_own_home(options.home, options.user)
                       : prepare_home(options.home, options.user));
  TRY(start_or_nothing(app, options, started, ctx));
  TRY(app.print(where_text(options.home), ctx));
  if (command.detach) return kExitOk;

  TRY(app.print("Ctrl-C ends it\n", ctx));
  auto watched = Watch(app, options, started).until_signal(*signals, ctx);
  if (!watched) app.note(watched.error().message, ctx);
  const auto lock = TRY(lock_home(options.home, ctx));
  TRY(print_stopped(app, TRY(stop_service(app, options.home, ctx)), ctx));
  return watched ? kExitOk : kExitSoftware;
}

Result<int> run_command(const DownCommand&, App& app, const fiber::Context& ctx) {
  if (!app.target.url.empty())
    return Error{Errc::invalid, "down ends daemons on this machine: no --url"};
  const Home home{app.target.home};
  const bool any = is_up(home.tared_socket()) || is_up(home.store_socket()) ||
                   is_up(home.launcher_socket());
  if (!any && (is_root() || !sys::exists_at(sys::kCwd, home.tared_socket()))) {
    return Error{Errc::unavailable,
                 fmt::format("no daemon at {}: there is nothing to end", home.tared_socket()),
                 ENOENT};
  }
  TRY(need_owner(home));
  const auto lock = TRY(lock_home(home, ctx));
  TRY(print_stopped(app, TRY(stop_service(app, home, ctx)), ctx));
  return kExitOk;
}

}  // namespace tare::cli
