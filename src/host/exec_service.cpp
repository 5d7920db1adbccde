#include "host/exec_service.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <fmt/format.h>

#include "host/admission.h"
#include "host/outcome_text.h"
#include "host/output_pump.h"
#include "runs/rows.h"
#include "sandbox/plan/codec.h"
#include "sandbox/plan/compile.h"
#include "sys/files.h"
#include "sys/memfd.h"
#include "sys/terminal.h"

namespace tare::host {

namespace {

model::Outcome ended_with(const LiveRun& run) {
  if (run.hibernates())
    return {model::EndReason::killed, 0, 9, "its session hibernates: its processes are gone"};
  std::string why = run.lost.value_or("");
  if (run.ended) why = std::string(model::to_string(run.ended->message.outcome.reason));
  return {model::EndReason::killed, 0, 9, "its sandbox has ended: " + why};
}

model::ExecSpec spec_of(const model::ExecRequest& request, const model::RunRequest& run) {
  model::ExecSpec spec{.argv = request.argv, .env = request.env, .terminal = request.terminal};
  if (!run.cwd.empty()) spec.cwd = run.cwd;
  if (!request.cwd.empty()) spec.cwd = request.cwd;
  return spec;
}

}  // namespace

ExecService::ExecService(const RunDeps& deps, RunService& runs, Checkpoints& checkpoints,
                         const fiber::Context& ctx)
    : deps_(deps), runs_(runs), checkpoints_(checkpoints), records_(deps.runs_dir), drivers_(ctx) {}

runs::OutputLogOptions ExecService::log_options(const model::ExecRequest& request) {
  runs::OutputLogOptions options;
  options.kept_bytes = kKeptExecBytes;
  options.wait_for_reader = request.attach;
  return options;
}

// ---- what can be asked

Result<std::shared_ptr<LiveRun>> ExecService::live_run(const std::string& run,
                                                       const fiber::Context& ctx) {
  auto live = TRY(runs_.running(run, ctx));
  if (live->purpose != Purpose::run)
    return Error{Errc::denied,
                 "this run builds an environment: nothing can be started in it; `tare session new` "
                 "makes a session"};
  return live;
}

// All that the run's own program got, and what this one asks for on top.
Result<std::vector<sandbox::Step>> ExecService::steps_of(const LiveRun& run,
                                                         model::ExecSpec spec) const {
  const auto sandbox = TRY(sandbox_spec(with_runner(run.run, run.runner), run.purpose));
  spec.env = merge_env(sandbox.env, spec.env);
  return sandbox::compile_exec(spec, sandbox, deps_.filters.walls(sandbox.profile));
}

Result<sys::UniqueFd> ExecService::plan_of(const LiveRun& run, const model::ExecSpec& spec) const {
  return sys::sealed_memfd("tare-exec", TRY(sandbox::encode(TRY(steps_of(run, spec)))), false);
}

Result<std::uint32_t> ExecService::next_number(const std::string& run) {
  auto& last = last_numbers_[run];
  if (last == 0) {
    const auto known = TRY(records_.numbers(run));
    if (!known.empty()) last = known.back();
  }
  return ++last;
}

std::vector<std::uint32_t> ExecService::living_numbers(const std::string& run) const {
  std::vector<std::uint32_t> living;
  for (const auto& [key, other] : table_) {
    if (key.first == run) living.push_back(key.second);
  }
  return living;
}

Result<std::shared_ptr<LiveExec>> ExecService::create(const std::string& run,
                                                      model::ExecRequest request,
                                                      const fiber::Context& ctx) {
  auto sandbox = TRY(live_run(run, ctx));
  // Also while a sandbox that it costs is replaced by a fresh one. To wake it may have taken as
  // long as it takes somebody to begin the next change.
  while (sandbox->swapping) {
    TRY(sandbox->changed.wait_until([&] { return !sandbox->swapping || sandbox->ended_durably(); },
                                    ctx));
    sandbox = TRY(live_run(run, ctx));
  }
  if (living_numbers(run).size() >= kMaxExecs) {
    return Error{
        Errc::exhausted,
        fmt::format("{} execs run in {} already: wait for one to end, or end one", kMaxExecs, run)};
  }
  auto live = TRY(create_while_changing(run, std::move(request), ctx));
  live->durable = live->run->run.request.durable;
  return live;
}

Result<std::shared_ptr<LiveExec>> ExecService::create_while_changing(const std::string& run,
                                                                     model::ExecRequest request,
                                                                     const fiber::Context& ctx) {
  TRY(model::validate(request));
  auto sandbox = TRY(live_run(run, ctx));
  const std::vector<std::uint32_t> living = living_numbers(run);
  auto live = std::make_shared<LiveExec>();
  live->use = InUse(sandbox);
  live->run = std::move(sandbox);
  live->changing = Counted(*live->run, &LiveRun::changing);
  live->attempt = live->run->run.attempt;
  live->exec.run = run;
  live->exec.number = TRY(next_number(run));
  live->exec.request = std::move(request);
  live->exec.created_ms = deps_.clock.wall_ms();
  TRY(records_.create(live->exec));
  TRY(records_.prune(run, living, kMaxKeptExecs));
  live->log = TRY(deps_.logs.open(ExecRecords::folder(run, live->exec.number),
                                  log_options(live->exec.request)));
  table_[{run, live->exec.number}] = live;
  if (auto sent = send(*live, drivers_.context()); !sent) {
    live->ended = model::Outcome{model::EndReason::setup_failed, 0, 0, sent.error().message};
  }
  drive(live);
  return live;
}

Result<> ExecService::settled(const std::string& run, const fiber::Context& ctx) {
  std::vector<LivePtr> coming;
  for (const auto& [key, live] : table_) {
    if (key.first == run && !live->started) coming.push_back(live);
  }
  for (const LivePtr& live : coming) {
    TRY(live->changed
            .wait_until([&] { return live->started || live->ended || live->recorded; }, ctx)
            .context(fmt::format("exec {} of {} is just being started", live->exec.number, run)));
  }
  return ok();
}

Result<> ExecService::send(LiveExec& live, const fiber::Context& ctx) {
  const model::ExecRequest& request = live.exec.request;
  sandbox::ExecMessage message;
  message.id = live.exec.run;
  message.exec = live.exec.number;
  message.terminal = request.terminal.has_value();
  message.with_stdin = request.with_stdin && !message.terminal;
  const sys::UniqueFd plan = TRY(plan_of(*live.run, spec_of(request, live.run->run.request)));
  std::vector<int> fds = {plan.get()};
  sys::Pipe out, err, in;
  if (!message.terminal) {
    for (sys::Pipe* pipe : {&out, &err}) {
      *pipe = TRY(sys::make_pipe());
      TRY(sys::set_nonblocking(pipe->read.get(), true));
      fds.insert(fds.end(), {pipe->read.get(), pipe->write.get()});
    }
  }
  if (message.with_stdin) {
    in = TRY(sys::make_pipe());
    TRY(sys::set_nonblocking(in.write.get(), true));
    fds.insert(fds.end(), {in.read.get(), in.write.get()});
  }
  TRY(deps_.launcher.send(message, fds, ctx));
  live.stdout_read = std::move(out.read);
  live.stderr_read = std::move(err.read);
  live.stdin_write = std::move(in.write);
  return ok();
}

std::shared_ptr<LiveExec> ExecService::live(const std::string& run, std::uint32_t number) const {
  const auto found = table_.find({run, number});
  return found == table_.end() ? nullptr : found->second;
}

Result<model::Exec> ExecService::get(const std::string& run, std::uint32_t number) {
  if (const auto found = live(run, number)) return found->exec;
  TRY(runs_.get(run));
  model::Exec exec = TRY(records_.load(run, number));
  if (exec.state == model::ExecState::ended) return exec;
  if (!runs_.recovered())
    return Error{Errc::unavailable,
                 "tared was started a moment ago and asks tare-launcher what runs: try again"};
  // tared was not there when its sandbox ended.
  exec.state = model::ExecState::ended;
  exec.outcome = model::Outcome{model::EndReason::killed, 0, 9, "its sandbox has ended"};
  return exec;
}

Result<std::vector<model::Exec>> ExecService::list(const std::string& run) {
  TRY(runs_.get(run));
  std::vector<model::Exec> out;
  for (const std::uint32_t number : TRY(records_.numbers(run))) {
    auto exec = get(run, number);
    if (exec) out.push_back(std::move(*exec));
    if (!exec && exec.error().code == Errc::unavailable) return std::move(exec).error();
  }
  return out;
}

Result<std::shared_ptr<LiveExec>> ExecService::need_live(const std::string& run,
                                                         std::uint32_t number) {
  auto found = live(run, number);
  if (found && !found->ended) return found;
  TRY(get(run, number));
  return Error{
      Errc::conflict,
      fmt::format("exec {} of {} has ended: `tare session execs {}` lists them", number, run, run)};
}

Result<> ExecService::signal(const std::string& run, std::uint32_t number, int signal,
                             const fiber::Context& ctx) {
  TRY(need_live(run, number));
  return deps_.launcher.send(
      sandbox::ExecSignalMessage{run, number, static_cast<std::uint32_t>(signal)}, {}, ctx);
}

Result<> ExecService::resize(const std::string& run, std::uint32_t number,
                             model::TerminalSize size) {
  const auto found = TRY(need_live(run, number));
  if (!found->exec.request.terminal)
    return Error{Errc::conflict, fmt::format("exec {} has no terminal: start it with -t", number)};
  if (!found->terminal.valid())
    return Error{Errc::conflict,
                 fmt::format("exec {} has not started yet: try again in a moment", number)};
  return sys::set_terminal_size(found->terminal.get(), size.rows, size.columns);
}

Result<> ExecService::close_stdin(LiveExec& live, const fiber::Context& ctx) {
  if (!live.stdin_write.valid()) return ok();
  live.stdin_write.reset();
  live.notify();
  return deps_.launcher.send(sandbox::ExecCloseStdinMessage{live.exec.run, live.exec.number}, {},
                             ctx);
}

Result<std::shared_ptr<OpenLog>> ExecService::open_log(const std::string& run,
                                                       std::uint32_t number) {
  if (const auto found = live(run, number)) return found->log;
  const model::Exec exec = TRY(get(run, number));
  return deps_.logs.open(ExecRecords::folder(run, number), log_options({}));
}

// ---- the story of one

void ExecService::drive(const LivePtr& live) {
  drivers_.spawn([this, live](const fiber::Context& ctx) {
    follow(*live, ctx);
    // tared stops; the exec goes on without it, or the next tared is told of its end again.
    if (ctx.cancelled() || !keep_end(*live, ctx)) return;
    record_end(*live, ctx);
    live->use = {};
    live->changing = {};
    table_.erase({live->exec.run, live->exec.number});
    if (live->run->ended || live->run->lost) last_numbers_.erase(live->exec.run);
    live->notify();
  });
}

// Until its process is gone and what it has written is taken. What it leaves behind it may hold the
// pipes open: that is not waited for.
void ExecService::follow(LiveExec& live, const fiber::Context& ctx) {
  fiber::CancelScope until_over(ctx);
  fiber::TaskGroup group(ctx);
  fiber::TaskGroup watching(ctx);
  watching.spawn([&](const fiber::Context& task) { watch_sandbox(live, task); });
  const auto spawn_pump = [&](runs::Stream stream, int fd, runs::OutputLog::From from) {
    group.spawn([&, stream, fd, from](const fiber::Context& task) {
      pump(live, stream, fd, from, task, until_over.context());
    });
  };
  if (live.stdout_read.valid())
    spawn_pump(runs::Stream::out, live.stdout_read.get(), runs::OutputLog::From::pipe);
  if (live.stderr_read.valid())
    spawn_pump(runs::Stream::err, live.stderr_read.get(), runs::OutputLog::From::pipe);
  bool pumping = false;
  for (;;) {
    if (live.started && live.exec.state == model::ExecState::starting) record_started(live);
    if (live.terminal.valid() && !pumping) {
      pumping = true;
      spawn_pump(runs::Stream::out, live.terminal.get(), runs::OutputLog::From::terminal);
    }
    if (live.ended) break;
    if (!live.changed.wait(ctx)) return;
  }
  until_over.cancel();
  group.join();
  watching.cancel();
}

// It ends with its sandbox, and nobody says so.
void ExecService::watch_sandbox(LiveExec& live, const fiber::Context& ctx) {
  const auto over = [&, sleeps = live.run->sleeps] {
    return live.run->ended || live.run->lost || live.run->ended_durably() ||
           live.run->hibernates() || live.run->sleeps != sleeps;
  };
  if (!live.run->changed.wait_until(over, ctx) || live.ended) return;
  live.ended = ended_with(*live.run);
  live.notify();
}

void ExecService::pump(LiveExec& live, runs::Stream stream, int fd, runs::OutputLog::From from,
                       const fiber::Context& ctx, const fiber::Context& until_over) {
  const PumpRules rules{
      .reader_goes = [&live] { return live.run->ended || live.run->lost || live.run->kill_wanted; },
      .over_limit = [] {},
      .over = [&live] { return live.ended.has_value(); },
      .from = from};
  auto pumped = pump_output(*live.log, stream, fd, rules, ctx, &until_over);
  if (pumped || ctx.cancelled()) return;
  deps_.log.error("output of an exec could not be kept", pumped.error(),
                  {{"run", live.exec.run}, {"exec", live.exec.number}});
  send_later(sandbox::ExecSignalMessage{live.exec.run, live.exec.number, 9});
}

void ExecService::record_started(LiveExec& live) {
  live.exec.state = model::ExecState::running;
  live.exec.started_ms = deps_.clock.wall_ms();
  if (auto saved = records_.save(live.exec); !saved)
    deps_.log.error("start of an exec could not be kept", saved.error());
  live.changed.notify_all();
}

// False: tared stops.
bool ExecService::keep_end(LiveExec& live, const fiber::Context& ctx) {
  if (!live.durable || !live.told) return true;
  if (auto kept = checkpoints_.hold(live.run, live.attempt, ctx); !kept)
    live.not_kept = kept.error().message;
  return !ctx.cancelled();
}

model::Outcome ExecService::outcome_of(const LiveExec& live) const {
  model::Outcome outcome = *live.ended;
  model::RunRequest words;  // what outcome_text() speaks of
  words.argv = live.exec.request.argv;
  std::vector<sandbox::Step> steps;
  if (live.failed_step > 0) {
    const auto spec = spec_of(live.exec.request, live.run->run.request);
    steps = steps_of(*live.run, spec).value_or({});
  }
  outcome = as_of_caller(std::move(outcome), steps, live.failed_step);
  if (outcome.reason != model::EndReason::killed)
    outcome.message = outcome_text(outcome, words, steps, live.failed_step);
  if (!live.not_kept.empty()) {
    const auto said = outcome.message.empty() ? fmt::format("exit status {}", outcome.exit_code)
                                              : outcome.message;
    outcome = {model::EndReason::daemon_error, 0, 0,
               fmt::format("it has ended ({}), and what it did is not on the disk: {}", said,
                           live.not_kept)};
  }
  outcome.message = runs::one_line(outcome.message);
  return outcome;
}

void ExecService::record_end(LiveExec& live, const fiber::Context& ctx) {
  model::Exec exec = live.exec;
  exec.state = model::ExecState::ended;
  exec.ended_ms = deps_.clock.wall_ms();
  exec.log_cut = live.log->log->cut().has_value();
  exec.outcome = outcome_of(live);
  auto saved = records_.save(exec);
  if (saved && live.durable) {
    saved = deps_.offload.run(
        [&]() -> Result<> {
          TRY(live.log->log->sync());
          return records_.sync(exec);
        },
        ctx);
  }
  if (ctx.cancelled()) return;
  if (!saved && saved.error().code != Errc::not_found)
    deps_.log.error("end of an exec could not be kept", saved.error());
  live.exec = std::move(exec);
  live.recorded = true;
  (void)deps_.launcher.send(sandbox::ExecReleaseMessage{live.exec.run, live.exec.number}, {}, ctx);
}

}  // namespace tare::host
