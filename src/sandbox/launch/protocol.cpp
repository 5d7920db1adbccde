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
constexpr std::size_t kDigestBytes = 71;  // "sha256:" and 64 hex digits

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

void put_limits(WireWriter& out, const model::Limits& limits) {
  out.u64(limits.memory_bytes);
  out.u32(limits.cpu_millis);
  out.u32(limits.pids);
  out.u64(limits.disk_bytes);
  out.u64(limits.disk_inodes);
  out.u64(limits.output_bytes);
  out.u64(limits.time_ms);
  out.u32(limits.open_files);
}

template <class Number>
Result<Number> bounded(Result<Number> value, std::string_view field, Number least, Number most) {
  const Number number = TRY(std::move(value));
  if (number >= least && number <= most) return number;
  return Error{Errc::invalid, std::string(field) + ": " + std::to_string(number) +
                                  " is not within " + std::to_string(least) + " and " +
                                  std::to_string(most)};
}

Result<model::Limits> take_limits(WireReader& in) {
  using B = model::LimitBounds;
  model::Limits limits;
  limits.memory_bytes = TRY(bounded(in.u64("memory"), "memory", B::kMemoryMin, B::kMemoryMax));
  limits.cpu_millis = TRY(bounded(in.u32("cpu"), "cpu", B::kCpuMin, B::kCpuMax));
  limits.pids = TRY(bounded(in.u32("pids"), "pids", B::kPidsMin, B::kPidsMax));
  limits.disk_bytes = TRY(bounded(in.u64("disk"), "disk", B::kDiskMin, B::kDiskMax));
  limits.disk_inodes = TRY(bounded(in.u64("inodes"), "inodes", B::kInodesMin, B::kInodesMax));
  limits.output_bytes = TRY(bounded(in.u64("output"), "output", std::uint64_t{0}, B::kOutputMax));
  limits.time_ms = TRY(bounded(in.u64("time"), "time", std::uint64_t{0}, B::kTimeMaxMs));
  limits.open_files = TRY(
      bounded(in.u32("open_files"), "open_files", B::kOpenFilesMin, B::kOpenFilesMax));
  return limits;
}

void put_id(WireWriter& out, const std::string& id) { out.text("id", id, kRunIdBytes); }

Result<std::string> take_id(WireReader& in) {
  std::string id = TRY(in.text("id", kRunIdBytes));
  if (!is_run_id(id)) return Error{Errc::invalid, "id: not a run id"};
  return id;
}

void put_usage(WireWriter& out, const model::Usage& usage) {
  for (const std::uint64_t value : {usage.cpu_us, usage.memory_peak_bytes, usage.read_bytes,
                                    usage.written_bytes, usage.stdout_bytes, usage.stderr_bytes,
                                    usage.start_us, usage.wall_us, usage.cpu_throttled_us}) {
    out.u64(value);
  }
}

Result<model::Usage> take_usage(WireReader& in) {
  model::Usage usage;
  for (std::uint64_t* value : {&usage.cpu_us, &usage.memory_peak_bytes, &usage.read_bytes,
                               &usage.written_bytes, &usage.stdout_bytes, &usage.stderr_bytes,
                               &usage.start_us, &usage.wall_us, &usage.cpu_throttled_us}) {
    *value = TRY(in.u64("usage"));
  }
  return usage;
}

Result<LaunchMessage> take_launch(WireReader& in) {
  LaunchMessage message;
  message.id = TRY(take_id(in));
  message.host_root = TRY(in.boolean("host_root"));
  const std::size_t layers = TRY(in.count("layers", kMaxLayers, 4 + kDigestBytes));
  for (std::size_t i = 0; i < layers; ++i) {
    std::string digest = TRY(in.text("layers", kDigestBytes));
    if (!is_digest(digest)) return Error{Errc::invalid, "layers: not a digest"};
    message.layers.push_back(std::move(digest));
  }
  if (!message.host_root && message.layers.empty())
    return Error{Errc::invalid, "layers: none, and not host_root"};
  message.with_stdin = TRY(in.boolean("with_stdin"));
  message.with_input = TRY(in.boolean("with_input"));
  message.network = TRY(in.enumerator("network", model::Network::host));
  message.limits = TRY(take_limits(in));
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
                   out.boolean(m.host_root);
                   out.count("layers", m.layers.size(), kMaxLayers);
                   for (const std::string& digest : m.layers)
                     out.text("layers", digest, kDigestBytes);
                   out.boolean(m.with_stdin);
                   out.boolean(m.with_input);
                   out.enumerator(m.network);
                   put_limits(out, m.limits);
                 },
                 [&](const KillMessage& m) {
                   put_id(out, m.id);
                   out.enumerator(m.reason);
                 },
                 [&](const CloseStdinMessage& m) { put_id(out, m.id); },
                 [&](const ReleaseMessage& m) { put_id(out, m.id); },
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
                 },
                 [&](const ListedMessage&) {},
                 [&](const StartedMessage& m) {
                   put_id(out, m.id);
                   out.u64(m.start_us);
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
                   out.u32(m.uid_base);
                   out.boolean(m.with_output);
                 },
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
      return FromLauncher(std::move(live));
    }
    case 2: return FromLauncher(ListedMessage{});
    case 3: {
      StartedMessage started;
      started.id = TRY(take_id(in));
      started.start_us = TRY(in.u64("start_us"));
      return FromLauncher(std::move(started));
    }
    case 4: return FromLauncher(TRY(take_ended(in)));
    default: return Error{Errc::invalid, "type: unknown message"};
  }
}

}  // namespace

Result<ToLauncher> decode_to_launcher(std::string_view bytes, std::size_t fds) {
  WireReader in(bytes);
  ToLauncher message = TRY(take_to_launcher(in));
  TRY(in.finish());
  const auto* launch = std::get_if<LaunchMessage>(&message);
  TRY(expect_fds(launch != nullptr ? launch->descriptors() : 0, fds));
  return message;
}

Result<FromLauncher> decode_from_launcher(std::string_view bytes, std::size_t fds) {
  WireReader in(bytes);
  FromLauncher message = TRY(take_from_launcher(in));
  TRY(in.finish());
  std::size_t expected = 0;
  if (const auto* live = std::get_if<LiveMessage>(&message)) expected = live->with_stdin ? 3 : 2;
  if (const auto* ended = std::get_if<EndedMessage>(&message))
    expected = ended->with_output ? 1 : 0;
  TRY(expect_fds(expected, fds));
  return message;
}

}  // namespace tare::sandbox
