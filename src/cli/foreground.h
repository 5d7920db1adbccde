// A run that a person waits for (`tare run`, `tare env build`): Ctrl-C kills the run, a second
// Ctrl-C leaves at once. SIGTERM and SIGHUP are taken the same way. The signals are blocked from
// construction on, so none is lost between making the run and watching it.
//
// Owner: one command, on its fiber's stack; loop thread only.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cli/app.h"
#include "cli/run_output.h"
#include "fiber/context.h"
#include "fiber/signals.h"
#include "fiber/task_group.h"

namespace tare::cli {

class Foreground {
 public:
  static Result<fiber::Signals> block_signals();
  Foreground(App& app, fiber::Signals signals, const fiber::Context& ctx);

  // Ends at the first signal: for what is done before the run is asked for.
  const fiber::Context& before_run() const { return before_run_.context(); }
  // The number of the first signal, 0 when there was none.
  int interrupted() const { return interrupted_; }

  // Follows the run to its end. Also when a signal came: then the run is killed first, and given up
  // on (Errc::timeout) when it has not ended kPatience later. With with_stdin our stdin is fed to
  // it.
  Result<model::Run> attend(const std::string& id, bool attach, bool with_stdin, OutputSink& sink);

 private:
  void watch(fiber::Signals& signals, const fiber::Context& ctx);
  void kill(const fiber::Context& ctx);
  void feed_stdin(const std::string& id, const fiber::Context& ctx);

  App& app_;
  fiber::Context ctx_;
  fiber::Signals signals_;
  int interrupted_ = 0;
  std::string run_id_;  // "" before the run is there
  fiber::CancelScope before_run_;
  fiber::CancelScope following_;
  fiber::TaskGroup group_;  // last: its fibers use what is above
};

// Ends a run; fine when it has ended already. Tries again while tared is being restarted, for a few
// seconds.
Result<> kill_run(App& app, const std::string& id, const fiber::Context& ctx);

}  // namespace tare::cli
