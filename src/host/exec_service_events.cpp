// ExecService: transient execs, and what the launcher says.
#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "host/exec_service.h"

namespace tare::host {

namespace {

// From the last that is wanted of one to its end, of which nobody tells when the sandbox has ended.
constexpr std::chrono::seconds kEndingPatience{60};

// Numbers of those that nothing is kept of.
constexpr std::uint32_t kFirstTransient = 1U << 31;

}  // namespace

// ---- those that nothing is kept of

Result<ExecService::Started> ExecService::start_transient(const std::string& run,
                                                          const model::ExecSpec& spec,
                                                          bool changes_files,
                                                          const std::vector<int>& fds,
                                                          const fiber::Context& ctx) {
  const auto sandbox = TRY(live_run(run, ctx));
  // Of sandboxes that have ended nobody tells.
  std::erase_if(transients_, [&](const auto& entry) {
    return runs_.live(entry.first.first) != entry.second->run ||
           entry.second->run->sleeps != entry.second->sleeps;
  });
  const auto others = std::count_if(transients_.begin(), transients_.end(),
                                    [&](const auto& entry) { return entry.first.first == run; });
  if (static_cast<std::size_t>(others) >= kMaxFileOperations) {
    return Error{Errc::exhausted, fmt::format("{} file operations are under way in {} already; try "
                                              "again",
                                              kMaxFileOperations, run)};
  }
  last_transient_ = (last_transient_ + 1) % kFirstTransient;
  const std::uint32_t number = kFirstTransient + last_transient_;
  const sys::UniqueFd plan = TRY(plan_of(*sandbox, spec));
  std::vector<int> all = {plan.get()};
  all.insert(all.end(), fds.begin(), fds.end());
  auto exec = std::make_shared<TransientExec>();
  exec->run = sandbox;
  exec->sleeps = sandbox->sleeps;
  exec->use = InUse(sandbox);
  exec->changes_files = changes_files;
  if (changes_files) exec->changing = Counted(*sandbox, &LiveRun::changing);
  transients_[{run, number}] = exec;
  auto sent = deps_.launcher.send(
      sandbox::ExecMessage{run, number, false, spec.handed_in, false, true}, all, ctx);
  if (!sent) {
    transients_.erase({run, number});
    return std::move(sent).error();
  }
  return Started{number, std::move(exec)};
}

Result<> ExecService::files_settled(const std::string& run, const fiber::Context& ctx) {
  std::vector<std::shared_ptr<TransientExec>> going;
  for (const auto& [key, exec] : transients_) {
    if (key.first == run) going.push_back(exec);
  }
  for (const auto& exec : going)
    TRY(exec->changed.wait_until([&] { return exec->ended.has_value(); }, ctx));
  return ok();
}

void ExecService::drop_transient(const std::string& run, std::uint32_t number) {
  const auto found = transients_.find({run, number});
  if (found == transients_.end()) return;
  found->second->ended = model::Outcome{model::EndReason::killed, 0, 9, "nobody wants it any more"};
  if (found->second->changes_files) count_change(*found->second->run, found->second->changing);
  found->second->changed.notify_all();
  transients_.erase(found);
  send_later(sandbox::ExecSignalMessage{run, number, 9});
}

void ExecService::let_end_transient(const std::string& run, std::uint32_t number) {
  const auto found = transients_.find({run, number});
  if (found == transients_.end()) return;
  drivers_.spawn([this, run, number, exec = found->second](const fiber::Context& ctx) {
    const auto over = [&] { return exec->ended.has_value() || exec->run->sleeps != exec->sleeps; };
    (void)exec->run->changed.wait_until(over, ctx.with_timeout(kEndingPatience));
    const auto still = transients_.find({run, number});
    if (still != transients_.end() && still->second == exec && !ctx.cancelled())
      drop_transient(run, number);
  });
}

// Of one that was `changing`, and has ended.
void ExecService::count_change(LiveRun& run, Counted& changing) {
  ++run.checkpointing.changes;
  changing = {};
}

void ExecService::send_later(sandbox::ToLauncher message) {
  drivers_.spawn([this, message = std::move(message)](const fiber::Context& ctx) {
    (void)deps_.launcher.send(message, {}, ctx);
  });
}

// ---- what the launcher says

namespace {

model::Outcome never_told() {
  return {model::EndReason::setup_failed, 0, 0, "tare-launcher was not told of it: start it again"};
}

}  // namespace

void ExecService::on_live_exec(const sandbox::LiveExecMessage& message,
                               std::vector<sys::UniqueFd> fds) {
  const Key key{message.id, message.exec};
  listed_.insert(key);
  if (table_.contains(key)) return;  // it has its pipes
  const auto run = runs_.live(message.id);
  auto record = records_.load(message.id, message.exec);
  // Of a session that hibernates: what it did since is not kept, and must not be told.
  if (!run || !record || run->hibernates()) {
    send_later(sandbox::ExecSignalMessage{message.id, message.exec, 9});
    return send_later(sandbox::ExecReleaseMessage{message.id, message.exec});
  }
  const LivePtr live = taken_up(run, std::move(*record));
  if (live == nullptr) return;
  if (message.terminal) {
    if (!fds.empty()) live->terminal = std::move(fds[0]);
  } else {
    live->stdout_read = std::move(fds[0]);
    live->stderr_read = std::move(fds[1]);
    if (message.with_stdin) live->stdin_write = std::move(fds[2]);
  }
  if (message.started)
    live->started = sandbox::ExecStartedMessage{message.id, message.exec, message.terminal, 0};
  table_[key] = live;
  drive(live);
}

// Of a record alone; null when its log cannot be opened.
ExecService::LivePtr ExecService::taken_up(const std::shared_ptr<LiveRun>& run,
                                           model::Exec record) {
  auto live = std::make_shared<LiveExec>();
  live->run = run;
  live->use = InUse(run);
  live->changing = Counted(*run, &LiveRun::changing);
  live->durable = run->run.request.durable;
  live->attempt = run->run.attempt;
  live->exec = std::move(record);
  auto log = deps_.logs.open(ExecRecords::folder(live->exec.run, live->exec.number),
                             log_options(live->exec.request));
  if (!log) {
    deps_.log.error("log of an exec cannot be opened", log.error());
    return nullptr;
  }
  live->log = std::move(*log);
  return live;
}

// An earlier tared wrote their records, and died before it told the launcher. (One that is older
// than its session's sandbox ended with the sandbox before that.)
void ExecService::end_those_never_told(const std::shared_ptr<LiveRun>& run) {
  const auto numbers = records_.numbers(run->run.id);
  if (!numbers) return deps_.log.error("execs cannot be read", numbers.error());
  for (const std::uint32_t number : *numbers) {
    if (const Key key{run->run.id, number}; listed_.contains(key) || table_.contains(key)) continue;
    auto record = records_.load(run->run.id, number);
    if (!record || record->state != model::ExecState::starting) continue;
    if (record->created_ms < run->launched_ms) continue;
    const LivePtr live = taken_up(run, std::move(*record));
    if (live == nullptr) continue;
    live->ended = never_told();
    table_[{run->run.id, number}] = live;
    drive(live);
  }
}

// What is not listed the launcher never got, or lost with its sandbox.
void ExecService::on_execs_listed() {
  for (const auto& [key, live] : table_) {
    if (listed_.contains(key) || live->ended) continue;
    live->ended = never_told();
    live->notify();
  }
  for (const auto& run : runs_.reattached()) end_those_never_told(run);
  for (const auto& [key, exec] : transients_) {
    exec->ended = model::Outcome{model::EndReason::setup_failed, 0, 0, "the launcher was away"};
    exec->writing = {};
    if (exec->changes_files) count_change(*exec->run, exec->changing);
    exec->changed.notify_all();
  }
  transients_.clear();
  listed_.clear();
}

void ExecService::on_exec_started(const sandbox::ExecStartedMessage& message,
                                  sys::UniqueFd terminal) {
  const auto found = live(message.id, message.exec);
  if (!found || found->started) return;
  found->started = message;
  found->terminal = std::move(terminal);
  found->notify();
}

void ExecService::on_exec_ended(const sandbox::ExecEndedMessage& message) {
  const Key key{message.id, message.exec};
  if (const auto transient = transients_.find(key); transient != transients_.end()) {
    transient->second->ended = message.outcome;
    if (transient->second->changes_files)
      count_change(*transient->second->run, transient->second->changing);
    transient->second->writing = {};
    transient->second->changed.notify_all();
    transient->second->run->changed.notify_all();
    transients_.erase(transient);
    return;
  }
  const auto found = live(message.id, message.exec);
  if (!found && message.exec >= kFirstTransient) return;  // nobody waited for it any more
  if (!found) return send_later(sandbox::ExecReleaseMessage{message.id, message.exec});
  if (found->ended) return;
  found->ended = message.outcome;
  found->told = true;
  count_change(*found->run, found->changing);
  found->failed_step = message.failed_step;
  found->notify();
}

void ExecService::on_sandbox_ended(const std::string& run) {
  std::erase_if(transients_, [&](const auto& entry) {
    if (entry.first.first != run) return false;
    entry.second->ended = model::Outcome{model::EndReason::killed, 0, 9, "its sandbox has ended"};
    entry.second->changed.notify_all();
    return true;
  });
}

}  // namespace tare::host
