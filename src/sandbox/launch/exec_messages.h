// The part of protocol.h about execs in live sandboxes (model/exec.h): values and their encoding.
// What is read is hostile.
//
//   tared                                launcher
//   exec + fds       ----------------->
//                    <-----------------  exec_started [+ the terminal's master]
//   exec_signal, exec_close_stdin ---->
//                    <-----------------  exec_ended       (its process is gone)
//   exec_release     ----------------->                   (what was kept of it is dropped)
//
// One that could not be started is exec_ended without exec_started. When its sandbox ends an exec
// ends with it, untold. As with runs, the launcher keeps the read ends of its output, the write end
// of its input or its terminal, so that neither is lost with a tared that dies, and lists what
// lives (and what has ended and is not released) to the next one: live_exec after `live` of its
// run, exec_ended after `listed`. A transient exec (a file operation) is not kept: it ends with the
// tared that asked for it, by the ends of its pipes, and is released by its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/wire.h"
#include "model/run.h"

namespace tare::sandbox {

// --- to the launcher ---

// Descriptors: the plan (sealed memfd), the program if it is handed in, and
//   with a terminal: none;
//   transient: stdin read end, stdout write end (stderr is nobody's);
//   else stdout read end, write end, stderr read end, write end, [stdin read end, write end].
struct ExecMessage {
  std::string id;  // of the run
  std::uint32_t exec = 0;
  bool terminal = false;
  bool handed_in = false;
  bool with_stdin = false;  // not with a terminal, nor transient
  bool transient = false;   // not with a terminal

  std::size_t descriptors() const {
    const std::size_t stdio = terminal ? 0 : transient ? 2 : with_stdin ? 6 : 4;
    return 1 + (handed_in ? 1U : 0U) + stdio;
  }
};
struct ExecSignalMessage {
  std::string id;
  std::uint32_t exec = 0;
  std::uint32_t signal = 0;  // 1 to 64; SIGKILL: all processes of its session
};
struct ExecCloseStdinMessage {
  std::string id;
  std::uint32_t exec = 0;
};
struct ExecReleaseMessage {
  std::string id;
  std::uint32_t exec = 0;
};

// --- from the launcher ---

// Descriptors: with a terminal its master, when it has started; else stdout and stderr read ends,
// [stdin write end].
struct LiveExecMessage {
  std::string id;
  std::uint32_t exec = 0;
  bool terminal = false;
  bool with_stdin = false;
  bool started = false;

  std::size_t descriptors() const {
    if (terminal) return started ? 1 : 0;
    return with_stdin ? 3 : 2;
  }
};
// Descriptors: the terminal's master, if it has one; verified to be one, and non-blocking.
struct ExecStartedMessage {
  std::string id;
  std::uint32_t exec = 0;
  bool terminal = false;
  std::uint64_t start_us = 0;  // exec message read -> just before execve
};
// The outcome is exited, signalled, not_found, not_executable or setup_failed.
struct ExecEndedMessage {
  std::string id;
  std::uint32_t exec = 0;
  model::Outcome outcome;
  std::uint32_t failed_step = 0;  // of its plan, from 1; for setup_failed
};

void put_exec(WireWriter& out, const ExecMessage& message);
void put_exec(WireWriter& out, const ExecSignalMessage& message);
void put_exec(WireWriter& out, const ExecCloseStdinMessage& message);
void put_exec(WireWriter& out, const ExecReleaseMessage& message);
void put_exec(WireWriter& out, const LiveExecMessage& message);
void put_exec(WireWriter& out, const ExecStartedMessage& message);
void put_exec(WireWriter& out, const ExecEndedMessage& message);
Result<> take_exec(WireReader& in, ExecMessage& message);
Result<> take_exec(WireReader& in, ExecSignalMessage& message);
Result<> take_exec(WireReader& in, ExecCloseStdinMessage& message);
Result<> take_exec(WireReader& in, ExecReleaseMessage& message);
Result<> take_exec(WireReader& in, LiveExecMessage& message);
Result<> take_exec(WireReader& in, ExecStartedMessage& message);
Result<> take_exec(WireReader& in, ExecEndedMessage& message);

template <class Message>
Result<Message> taken_exec(WireReader& in) {
  Message message;
  TRY(take_exec(in, message));
  return message;
}

}  // namespace tare::sandbox
