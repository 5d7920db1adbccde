#include "sandbox/launch/protocol.h"

#include "base/hash.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/wire.h"

namespace tare::sandbox {

namespace {

constexpr std::size_t kMaxOutcomeText = kMaxMessageBytes;
constexpr std::size_t kMaxModeBytes = 16;
constexpr std::size_t kMaxVersionBytes = 64;

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

void put_id(WireWriter& out, const std::string& id) { out.text("id", id, kRunIdBytes); }

Result<std::string> take_id(WireReader& in) {
  std::string id = TRY(in.text("id", kRunIdBytes));
  if (!is_run_id(id)) return Error{Errc::invalid, "id: not a run id"};
  return id;
}

void put_usage(WireWriter& out, const model::Usage& usage) {
  for (const std::uint64_t value :
       {usage.cpu_us, usage.memory_peak_bytes, usage.read_bytes, usage.written_bytes,
        usage.stdout_bytes, usage.stderr_bytes, usage.start_us, usage.wall_us,
        usage.cpu_throttled_us, usage.processes_refused}) {
    out.u64(value);
  }
  out.boolean(usage.disk_full);
  out.boolean(usage.inodes_full);
}

Result<model::Usage> take_usage(WireReader& in) {
  model::Usage usage;
  for (std::uint64_t* value :
       {&usage.cpu_us, &usage.memory_peak_bytes, &usage.read_bytes, &usage.written_bytes,
        &usage.stdout_bytes, &usage.stderr_bytes, &usage.start_us, &usage.wall_us,
        &usage.cpu_throttled_us, &usage.processes_refused}) {
    *value = TRY(in.u64("usage"));
  }
  usage.disk_full = TRY(in.boolean("disk_full"));
  usage.inodes_full = TRY(in.boolean("inodes_full"));
  return usage;
}

Result<LaunchMessage> take_launch(WireReader& in) {
  LaunchMessage message;
  message.id = TRY(take_id(in));
  message.base = TRY(take_base(in));
  message.with_stdin = TRY(in.boolean("with_stdin"));
  message.with_input = TRY(in.boolean("with_input"));
  message.with_report = TRY(in.boolean("with_report"));
  return message;
}

Result<PoolMessage> take_pool(WireReader& in) {
  PoolMessage message;
  message.hits = TRY(in.u64("hits"));
  message.misses = TRY(in.u64("misses"));
  message.idle = TRY(in.u64("idle"));
  message.making = TRY(in.u64("making"));
  message.made = TRY(in.u64("made"));
  message.failed = TRY(in.u64("failed"));
  message.dropped = TRY(in.u64("dropped"));
  message.moved = TRY(in.u64("moved"));
  return message;
}

Result<DeniedMessage> take_denied(WireReader& in) {
  DeniedMessage message;
  message.id = TRY(take_id(in));
  message.call.abi = TRY(in.enumerator("abi", CallAbi::other));
  message.call.number = TRY(in.u32("number"));
  message.count = TRY(in.u64("count"));
  return message;
}

Result<EndedMessage> take_ended(WireReader& in) {
  EndedMessage message;
  message.id = TRY(take_id(in));
  message.outcome.reason = TRY(in.enumerator("reason", model::EndReason::daemon_error));
  message.outcome.exit_code = TRY(in.i32("exit_code"));
  message.outcome.signal = TRY(in.i32("signal"));
  message.outcome.message = TRY(in.text("message", kMaxOutcomeText));
  message.usage = TRY(take_usage(in));
  message.failed_step = TRY(in.u32("failed_step"));
  message.in_base = TRY(in.boolean("in_base"));
  message.never_began = TRY(in.boolean("never_began"));
  message.uid_base = TRY(in.u32("uid_base"));
  message.with_output = TRY(in.boolean("with_output"));
  return message;
}

Result<> expect_fds(std::size_t expected, std::size_t fds) {
  if (expected == fds) return ok();
  return Error{Errc::invalid,
               "expected " + std::to_string(expected) + " descriptors, got " + std::to_string(fds)};
}

}  // namespace

Result<std::string> encode(const ToLauncher& message) {
  WireWriter out;
  out.u8(static_cast<std::uint8_t>(message.index()));
  std::visit(Overloaded{
                 [&](const HelloMessage& m) { out.u32(m.protocol); },
                 [&](const ListMessage&) {},
                 [&](const LaunchMessage& m) {
                   put_id(out, m.id);
                   put_base(out, m.base);
                   out.boolean(m.with_stdin);
                   out.boolean(m.with_input);
                   out.boolean(m.with_report);
                 },
                 [&](const KillMessage& m) {
                   put_id(out, m.id);
                   out.enumerator(m.reason);
                 },
                 [&](const CloseStdinMessage& m) { put_id(out, m.id); },
                 [&](const ReleaseMessage& m) { put_id(out, m.id); },
                 [&](const AskPoolMessage&) {},
                 [&](const StopMessage& m) { put_id(out, m.id); },
                 [&](const GoOnMessage& m) { put_id(out, m.id); },
                 [&](const PrepareMessage& m) {
                   out.u64(m.number);
                   put_base(out, m.base);
                 },
                 [&](const SwapMessage& m) {
                   put_id(out, m.id);
                   out.text("runner", m.runner, kDigestTextBytes);
                   put_digests(out, m.own, "own");
                 },
                 [&](const auto& m) { put_exec(out, m); },
             },
             message);
  return out.finish();
}

Result<std::string> encode(const FromLauncher& message) {
  WireWriter out;
  out.u8(static_cast<std::uint8_t>(message.index()));
  std::visit(Overloaded{
                 [&](const WelcomeMessage& m) {
                   out.u32(m.protocol);
                   out.u32(m.pid);
                   out.text("cgroup_mode", m.cgroup_mode, kMaxModeBytes);
                   out.text("version", m.version, kMaxVersionBytes);
                   out.u64(m.instance);
                 },
                 [&](const LiveMessage& m) {
                   put_id(out, m.id);
                   out.boolean(m.started);
                   out.boolean(m.with_stdin);
                   out.boolean(m.with_report);
                 },
                 [&](const ListedMessage&) {},
                 [&](const StartedMessage& m) {
                   put_id(out, m.id);
                   out.u64(m.start_us);
                   out.u64(m.gate_us);
                   out.boolean(m.warm);
                 },
                 [&](const PoolMessage& m) {
                   for (const std::uint64_t n : m.numbers()) out.u64(n);
                 },
                 [&](const EndedMessage& m) {
                   put_id(out, m.id);
                   out.enumerator(m.outcome.reason);
                   out.i32(m.outcome.exit_code);
                   out.i32(m.outcome.signal);
                   out.text("message", m.outcome.message.substr(0, kMaxOutcomeText),
                            kMaxOutcomeText);
                   put_usage(out, m.usage);
                   out.u32(m.failed_step);
                   out.boolean(m.in_base);
                   out.boolean(m.never_began);
                   out.u32(m.uid_base);
                   out.boolean(m.with_output);
                 },
                 [&](const DeniedMessage& m) {
                   put_id(out, m.id);
                   out.enumerator(m.call.abi);
                   out.u32(m.call.number);
                   out.u64(m.count);
                 },
                 [&](const StoppedMessage& m) {
                   put_id(out, m.id);
                   out.text("error", m.error.substr(0, kMaxOutcomeText), kMaxOutcomeText);
                   out.u32(m.uid_base);
                   out.boolean(m.with_base);
                   out.u32(m.processes);
                 },
                 [&](const SwappedMessage& m) {
                   put_id(out, m.id);
                   out.text("error", m.error.substr(0, kMaxOutcomeText), kMaxOutcomeText);
                   out.boolean(m.touched);
                   out.boolean(m.as_made);
                 },
                 [&](const PreparedMessage& m) {
                   out.u64(m.number);
                   out.boolean(m.ready);
                 },
                 [&](const auto& m) { put_exec(out, m); },
             },
             message);
  return out.finish();
}

namespace {

Result<ToLauncher> take_to_launcher(WireReader& in) {
  switch (TRY(in.u8("type"))) {
    case 0: return ToLauncher(HelloMessage{TRY(in.u32("protocol"))});
    case 1: return ToLauncher(ListMessage{});
    case 2: return ToLauncher(TRY(take_launch(in)));
    case 3: {
      KillMessage kill{TRY(take_id(in)),
                       TRY(in.enumerator("reason", model::EndReason::daemon_error))};
      if (kill.reason != model::EndReason::killed &&
          kill.reason != model::EndReason::output_limit) {
        return Error{Errc::invalid, "reason: must be killed or output_limit"};
      }
      return ToLauncher(std::move(kill));
    }
    case 4: return ToLauncher(CloseStdinMessage{TRY(take_id(in))});
    case 5: return ToLauncher(ReleaseMessage{TRY(take_id(in))});
    case 6: return ToLauncher(AskPoolMessage{});
    case 7: return ToLauncher(TRY(taken_exec<ExecMessage>(in)));
    case 8: return ToLauncher(TRY(taken_exec<ExecSignalMessage>(in)));
    case 9: return ToLauncher(TRY(taken_exec<ExecCloseStdinMessage>(in)));
    case 10: return ToLauncher(TRY(taken_exec<ExecReleaseMessage>(in)));
    case 11: return ToLauncher(StopMessage{TRY(take_id(in))});
    case 12: return ToLauncher(GoOnMessage{TRY(take_id(in))});
    case 13: {
      PrepareMessage prepare;
      prepare.number = TRY(in.u64("number"));
      prepare.base = TRY(take_base(in));
      return ToLauncher(std::move(prepare));
    }
    case 14: {
      SwapMessage swap{TRY(take_id(in)), TRY(in.text("runner", kDigestTextBytes))};
      if (!is_digest(swap.runner)) return Error{Errc::invalid, "runner: not a digest"};
      swap.own = TRY(take_digests(in, "own"));
      return ToLauncher(std::move(swap));
    }
    default: return Error{Errc::invalid, "type: unknown message"};
  }
}

Result<WelcomeMessage> take_welcome(WireReader& in) {
  WelcomeMessage welcome;
  welcome.protocol = TRY(in.u32("protocol"));
  if (welcome.protocol != kLauncherProtocol) {
    in = WireReader({});
    return welcome;
  }
  welcome.pid = TRY(in.u32("pid"));
  welcome.cgroup_mode = TRY(in.text("cgroup_mode", kMaxModeBytes));
  welcome.version = TRY(in.text("version", kMaxVersionBytes));
  welcome.instance = TRY(in.u64("instance"));
  return welcome;
}

Result<FromLauncher> take_from_launcher(WireReader& in) {
  switch (TRY(in.u8("type"))) {
    case 0: return FromLauncher(TRY(take_welcome(in)));
    case 1: {
      LiveMessage live;
      live.id = TRY(take_id(in));
      live.started = TRY(in.boolean("started"));
      live.with_stdin = TRY(in.boolean("with_stdin"));
      live.with_report = TRY(in.boolean("with_report"));
      return FromLauncher(std::move(live));
    }
    case 2: return FromLauncher(ListedMessage{});
    case 3: {
      StartedMessage started;
      started.id = TRY(take_id(in));
      started.start_us = TRY(in.u64("start_us"));
      started.gate_us = TRY(in.u64("gate_us"));
      started.warm = TRY(in.boolean("warm"));
      return FromLauncher(std::move(started));
    }
    case 4: return FromLauncher(TRY(take_pool(in)));
    case 5: return FromLauncher(TRY(take_ended(in)));
    case 6: return FromLauncher(TRY(take_denied(in)));
    case 7: return FromLauncher(TRY(taken_exec<LiveExecMessage>(in)));
    case 8: return FromLauncher(TRY(taken_exec<ExecStartedMessage>(in)));
    case 9: return FromLauncher(TRY(taken_exec<ExecEndedMessage>(in)));
    case 10: {
      StoppedMessage stopped;
      stopped.id = TRY(take_id(in));
      stopped.error = TRY(in.text("error", kMaxOutcomeText));
      stopped.uid_base = TRY(in.u32("uid_base"));
      stopped.with_base = TRY(in.boolean("with_base"));
      stopped.processes = TRY(in.u32("processes"));
      return FromLauncher(std::move(stopped));
    }
    case 11: {
      SwappedMessage swapped;
      swapped.id = TRY(take_id(in));
      swapped.error = TRY(in.text("error", kMaxOutcomeText));
      swapped.touched = TRY(in.boolean("touched"));
      swapped.as_made = TRY(in.boolean("as_made"));
      return FromLauncher(std::move(swapped));
    }
    case 12: {
      PreparedMessage prepared;
      prepared.number = TRY(in.u64("number"));
      prepared.ready = TRY(in.boolean("ready"));
      return FromLauncher(prepared);
    }
    default: return Error{Errc::invalid, "type: unknown message"};
  }
}

}  // namespace

Result<ToLauncher> decode_to_launcher(std::string_view bytes, std::size_t fds) {
  WireReader in(bytes);
  ToLauncher message = TRY(take_to_launcher(in));
  TRY(in.finish());
  std::size_t expected = 0;
  if (const auto* launch = std::get_if<LaunchMessage>(&message)) expected = launch->descriptors();
  if (const auto* exec = std::get_if<ExecMessage>(&message)) expected = exec->descriptors();
  if (std::holds_alternative<PrepareMessage>(message)) expected = 1;
  TRY(expect_fds(expected, fds));
  return message;
}

Result<FromLauncher> decode_from_launcher(std::string_view bytes, std::size_t fds) {
  WireReader in(bytes);
  FromLauncher message = TRY(take_from_launcher(in));
  TRY(in.finish());
  std::size_t expected = 0;
  if (const auto* live = std::get_if<LiveMessage>(&message)) expected = live->descriptors();
  if (const auto* ended = std::get_if<EndedMessage>(&message))
    expected = ended->with_output ? 1 : 0;
  if (const auto* live = std::get_if<LiveExecMessage>(&message)) expected = live->descriptors();
  if (const auto* started = std::get_if<ExecStartedMessage>(&message))
    expected = started->terminal ? 1 : 0;
  if (const auto* stopped = std::get_if<StoppedMessage>(&message))
    expected = !stopped->error.empty() ? 0 : stopped->with_base ? 3 : 2;
  TRY(expect_fds(expected, fds));
  return message;
}

}  // namespace tare::sandbox
