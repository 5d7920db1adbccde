// LiveExec: an exec that has not ended, as tared holds it: the record, what the launcher has said,
// and our ends of its pipes, or of its terminal.
//
// Owner: ExecService's table; requests may hold it longer. Loop thread only. `changed` is notified
// after every change of a member.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "fiber/event.h"
#include "host/live_run.h"
#include "host/run_logs.h"
#include "model/exec.h"
#include "sandbox/launch/protocol.h"
#include "sys/fd.h"

namespace tare::host {

struct LiveExec {
  model::Exec exec;
  std::shared_ptr<LiveRun> run;
  InUse use;         // until its end is recorded
  Counted changing;  // until its end is told
  fiber::Event changed;

  std::optional<sandbox::ExecStartedMessage> started;
  std::optional<model::Outcome> ended;  // of its process, or of its sandbox
  std::uint32_t failed_step = 0;
  bool told = false;          // the end, by the launcher
  bool durable = false;       // its end is told only when a checkpoint holds what it did
  std::uint32_t attempt = 0;  // of its sandbox
  std::string not_kept = {};  // why none does
  bool recorded = false;      // the end

  std::shared_ptr<OpenLog> log;
  sys::UniqueFd stdout_read, stderr_read, stdin_write;
  sys::UniqueFd terminal;    // its master; reads and writes
  bool stdin_taken = false;  // one request may feed it at a time

  bool has_input() const { return stdin_write.valid() || terminal.valid(); }
  int input() const { return terminal.valid() ? terminal.get() : stdin_write.get(); }
  void notify() {
    changed.notify_all();
    if (log) log->changed.notify_all();
  }
};

}  // namespace tare::host
