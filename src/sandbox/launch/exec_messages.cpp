#include "sandbox/launch/exec_messages.h"

#include "base/ids.h"
#include "base/limits.h"

namespace tare::sandbox {

namespace {

constexpr std::uint32_t kLastSignal = 64;

template <class Message>
void put_name(WireWriter& out, const Message& message) {
  out.text("id", message.id, kRunIdBytes);
  out.u32(message.exec);
}

template <class Message>
Result<> take_name(WireReader& in, Message& message) {
  message.id = TRY(in.text("id", kRunIdBytes));
  if (!is_run_id(message.id)) return Error{Errc::invalid, "id: not a run id"};
  message.exec = TRY(in.u32("exec"));
  if (message.exec == 0) return Error{Errc::invalid, "exec: numbers count from 1"};
  return ok();
}

}  // namespace

void put_exec(WireWriter& out, const ExecMessage& message) {
  put_name(out, message);
  out.boolean(message.terminal);
  out.boolean(message.handed_in);
  out.boolean(message.with_stdin);
  out.boolean(message.transient);
}

void put_exec(WireWriter& out, const ExecSignalMessage& message) {
  put_name(out, message);
  out.u32(message.signal);
}

void put_exec(WireWriter& out, const ExecCloseStdinMessage& message) { put_name(out, message); }

void put_exec(WireWriter& out, const ExecReleaseMessage& message) { put_name(out, message); }

void put_exec(WireWriter& out, const LiveExecMessage& message) {
  put_name(out, message);
  out.boolean(message.terminal);
  out.boolean(message.with_stdin);
  out.boolean(message.started);
}

void put_exec(WireWriter& out, const ExecStartedMessage& message) {
  put_name(out, message);
  out.boolean(message.terminal);
  out.u64(message.start_us);
}

void put_exec(WireWriter& out, const ExecEndedMessage& message) {
  put_name(out, message);
  out.enumerator(message.outcome.reason);
  out.i32(message.outcome.exit_code);
  out.i32(message.outcome.signal);
  out.text("message", message.outcome.message.substr(0, kMaxMessageBytes), kMaxMessageBytes);
  out.u32(message.failed_step);
}

Result<> take_exec(WireReader& in, ExecMessage& message) {
  TRY(take_name(in, message));
  message.terminal = TRY(in.boolean("terminal"));
  message.handed_in = TRY(in.boolean("handed_in"));
  message.with_stdin = TRY(in.boolean("with_stdin"));
  message.transient = TRY(in.boolean("transient"));
  const int ways = (message.terminal ? 1 : 0) + (message.with_stdin ? 1 : 0) +
                   (message.transient ? 1 : 0);
  if (ways > 1)
    return Error{Errc::invalid, "exec: at most one of terminal, with_stdin and transient"};
  return ok();
}

Result<> take_exec(WireReader& in, ExecSignalMessage& message) {
  TRY(take_name(in, message));
  message.signal = TRY(in.u32("signal"));
  if (message.signal == 0 || message.signal > kLastSignal)
    return Error{Errc::invalid, "signal: 1 to 64"};
  return ok();
}

Result<> take_exec(WireReader& in, ExecCloseStdinMessage& message) {
  return take_name(in, message);
}

Result<> take_exec(WireReader& in, ExecReleaseMessage& message) { return take_name(in, message); }

Result<> take_exec(WireReader& in, LiveExecMessage& message) {
  TRY(take_name(in, message));
  message.terminal = TRY(in.boolean("terminal"));
  message.with_stdin = TRY(in.boolean("with_stdin"));
  message.started = TRY(in.boolean("started"));
  return ok();
}

Result<> take_exec(WireReader& in, ExecStartedMessage& message) {
  TRY(take_name(in, message));
  message.terminal = TRY(in.boolean("terminal"));
  message.start_us = TRY(in.u64("start_us"));
  return ok();
}

Result<> take_exec(WireReader& in, ExecEndedMessage& message) {
  TRY(take_name(in, message));
  message.outcome.reason = TRY(in.enumerator("reason", model::EndReason::daemon_error));
  message.outcome.exit_code = TRY(in.i32("exit_code"));
  message.outcome.signal = TRY(in.i32("signal"));
  message.outcome.message = TRY(in.text("message", kMaxMessageBytes));
  message.failed_step = TRY(in.u32("failed_step"));
  return ok();
}

}  // namespace tare::sandbox
