#include "cli/foreground.h"

#include <signal.h>
#include <unistd.h>

#include <fmt/core.h>

#include "fiber/timer.h"

namespace tare::cli {
namespace {

constexpr std::chrono::seconds kPatience{15};      // from the kill to the run's end
constexpr std::chrono::seconds kKillRetryFor{10};  // tared is being restarted
constexpr std::chrono::milliseconds kKillPause{200};

}  // namespace

Result<> kill_run(App& app, const std::string& id, const fiber::Context& ctx) {
  const fiber::Context limited = ctx.with_timeout(kKillRetryFor);
  for (;;) {
    auto answer = app.client.post_empty(run_path(id, "/kill"), limited);
    if (answer) return ok();
    if (answer.error().code != Errc::unavailable) return std::move(answer).error();
    if (!fiber::sleep_for(kKillPause, limited)) return std::move(answer).error();
  }
}

Result<fiber::Signals> Foreground::block_signals() {
  return fiber::Signals::block({SIGINT, SIGTERM, SIGHUP});
}

Foreground::Foreground(App& app, fiber::Signals signals, const fiber::Context& ctx)
    : app_(app),
      ctx_(ctx),
      signals_(std::move(signals)),
      before_run_(ctx),
      following_(ctx),
      group_(ctx) {
  group_.spawn([this](const fiber::Context& task) { watch(signals_, task); });
}

void Foreground::watch(fiber::Signals& signals, const fiber::Context& ctx) {
  for (;;) {
    const auto number = signals.wait(ctx);
    if (!number) return;
    if (interrupted_ != 0) ::_exit(128 + *number);
    interrupted_ = *number;
    before_run_.cancel();
    if (!run_id_.empty()) group_.spawn([this](const fiber::Context& task) { kill(task); });
  }
}

void Foreground::kill(const fiber::Context& ctx) {
  app_.note(fmt::format("killing {} (the same again leaves at once)", run_id_), ctx);
  auto killed = kill_run(app_, run_id_, ctx);
  if (!killed) app_.note(fmt::format("{}: {}", run_id_, killed.error().message), ctx);
  if (fiber::sleep_for(kPatience, ctx)) following_.cancel();
}

void Foreground::feed_stdin(const std::string& id, const fiber::Context& ctx) {
  StdInput input(STDIN_FILENO);
  const auto source = [&](std::span<char> buffer, const fiber::Context& body) {
    return input.read_some(buffer, body);
  };
  auto sent = app_.client.send(run_path(id, "/stdin"), source, ctx);
  if (sent || ctx.cancelled()) return;
  // A run that ended before it could be fed is no news.
  if (sent.error().code != Errc::conflict)
    app_.note("stdin was cut off: " + sent.error().message, ctx_);
}

Result<model::Run> Foreground::attend(const std::string& id, bool attach, bool with_stdin,
                                      OutputSink& sink) {
  run_id_ = id;
  if (interrupted_ != 0) group_.spawn([this](const fiber::Context& task) { kill(task); });
  fiber::TaskGroup feeding(ctx_);
  if (with_stdin) {
    feeding.spawn([this, &id](const fiber::Context& task) { feed_stdin(id, task); });
  }
  auto run = follow_output(app_, {.id = id, .follow = true, .attach = attach}, sink,
                           following_.context());
  if (!run && following_.context().cancelled()) {
    return Error{Errc::timeout, fmt::format("{} was killed but has not ended yet", id)};
  }
  // Nobody reads our output: like any program in a pipe, the run ends.
  if (!run && run.error().sys == EPIPE) {
    auto killed = kill_run(app_, id, ctx_);
    if (!killed) app_.note(killed.error().message, ctx_);
  }
  return run;
}

}  // namespace tare::cli
