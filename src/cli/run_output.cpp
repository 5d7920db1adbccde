#include "cli/run_output.h"

#include <algorithm>
#include <optional>

#include <fmt/core.h>

#include "base/base64.h"
#include "base/decode.h"
#include "base/text.h"
#include "fiber/timer.h"
#include "model/run_json.h"

namespace tare::cli {
namespace {

constexpr std::size_t kMaxHeldLineBytes = std::size_t{64} << 10;  // of TransferSink

using model::FrameType;

constexpr std::chrono::seconds kReconnectFor{60};
constexpr std::chrono::milliseconds kFirstPause{100}, kLongestPause{1000};

std::string_view name_of(FrameType stream) {
  return stream == FrameType::out ? "stdout" : "stderr";
}

Result<FrameType> stream_from(std::string_view text) {
  if (text == "stdout") return FrameType::out;
  if (text == "stderr") return FrameType::err;
  return Error{Errc::invalid, "neither stdout nor stderr"};
}

// What the frames of one or more connections add up to.
class Position final : public model::FrameSink {
 public:
  Position(OutputSink& sink, const fiber::Context& ctx) : sink_(sink), ctx_(ctx) {}

  Result<> on_output(FrameType stream, std::string_view bytes) override {
    auto written = sink_.write(stream, bytes, ctx_);
    if (!written) {
      sink_error_ = written.error();
      return written;
    }
    offset(stream) += bytes.size();
    moved_ = true;
    return ok();
  }

  Result<> on_cut(std::string_view json) override {
    FrameType stream = FrameType::out;
    std::uint64_t from = 0, to = 0;
    const Json value = TRY(parse_json(json));
    const Node node(value, Unknown::ignore);
    Fields fields(node);
    fields.required("stream", stream, parsed(stream_from));
    fields.required("from", from, integer<std::uint64_t>());
    fields.required("to", to, integer<std::uint64_t>());
    TRY(fields.finish());
    if (from != offset(stream) || to < from) {
      return Error{Errc::invalid,
                   fmt::format("cut notice from {} to {} at offset {}", from, to, offset(stream))};
    }
    sink_.missing(stream, to - from, ctx_);
    offset(stream) = to;
    moved_ = true;
    return ok();
  }

  Result<> on_end(std::string_view json) override {
    ended_ = TRY(parse_json(json, {.max_bytes = model::kMaxControlPayload}));
    return ok();
  }

  std::uint64_t& offset(FrameType stream) { return stream == FrameType::out ? out_ : err_; }
  const Json& ended() const { return ended_; }
  const std::optional<Error>& sink_error() const { return sink_error_; }
  bool take_moved() { return std::exchange(moved_, false); }

 private:
  OutputSink& sink_;
  const fiber::Context& ctx_;
  std::uint64_t out_ = 0, err_ = 0;
  bool moved_ = false;
  Json ended_;
  std::optional<Error> sink_error_;
};

// One connection's worth. ok: the end frame has come.
Result<> follow_once(App& app, const FollowOptions& options, Position& position,
                     const fiber::Context& ctx) {
  model::FrameDecoder decoder;
  auto received = app.client.receive(
      fmt::format("{}/logs?follow={}&attach={}&stdout_from={}&stderr_from={}",
                  options.path.empty() ? run_path(options.id) : options.path, options.follow,
                  options.attach, position.offset(FrameType::out), position.offset(FrameType::err)),
      [&](std::string_view piece) -> Result<> {
        auto fed = decoder.feed(piece, position);
        if (fed || position.sink_error()) return fed;
        Error wrong = std::move(fed).error();
        wrong.code = Errc::internal;  // not ours, the server's
        return wrong;
      },
      ctx);
  if (position.sink_error()) return *position.sink_error();
  if (decoder.ended()) return ok();
  if (!received) return received;
  return Error{Errc::unavailable, "the log stream ended too early"};
}

}  // namespace

Result<Json> follow_frames(App& app, const FollowOptions& options, OutputSink& sink,
                           const fiber::Context& ctx) {
  Position position(sink, ctx);
  std::optional<fiber::Context> outage;
  fiber::Duration pause = kFirstPause;
  bool said = false;
  for (;;) {
    auto followed = follow_once(app, options, position, ctx);
    if (followed) break;
    // A sink that fails (nobody reads our stdout) is final, whatever its code.
    if (position.sink_error() || followed.error().code != Errc::unavailable)
      return followed.error();
    if (position.take_moved()) outage.reset();
    if (!outage) {
      outage = ctx.with_timeout(kReconnectFor);
      pause = kFirstPause;
    }
    if (!said) {
      app.note(
          fmt::format("lost tared, trying again for {} s; the run goes on", kReconnectFor.count()),
          ctx);
      said = true;
    }
    auto slept = fiber::sleep_for(pause, *outage);
    if (!slept) {
      if (ctx.cancelled()) return std::move(slept).error();
      return std::move(followed).error().context(
          fmt::format("tared did not come back; look later with `tare logs -f {}`", options.id));
    }
    pause = std::min<fiber::Duration>(pause * 2, kLongestPause);
  }
  return position.ended();
}

Result<model::Run> follow_output(App& app, const FollowOptions& options, OutputSink& sink,
                                 const fiber::Context& ctx) {
  auto parsed = model::run_from_json(TRY(follow_frames(app, options, sink, ctx)));
  if (!parsed) return Error{Errc::internal, "the log's end: " + parsed.error().message};
  model::Run run = std::move(*parsed);
  if (options.follow && !model::is_terminal(run.state)) {
    return Error{Errc::internal, "tared ended the log of a run that has not ended"};
  }
  return run;
}

Result<> StreamingSink::write(FrameType stream, std::string_view bytes, const fiber::Context& ctx) {
  return (stream == FrameType::out ? app_.out : app_.err).write(bytes, ctx);
}

void StreamingSink::missing(FrameType stream, std::uint64_t bytes, const fiber::Context& ctx) {
  app_.note(fmt::format("{} bytes of {} were not kept", bytes, name_of(stream)), ctx);
}

Result<> ProgressSink::write(FrameType, std::string_view bytes, const fiber::Context& ctx) {
  return app_.err.write(bytes, ctx);
}

Result<> TransferSink::write(FrameType stream, std::string_view bytes, const fiber::Context& ctx) {
  for (const char c : bytes) {
    line_ += c;
    if (c != '\n' && line_.size() < kMaxHeldLineBytes) continue;
    if (stream == FrameType::out) result_ = line_.substr(0, line_.find('\n'));
    if (!line_.starts_with("E: ")) TRY(ProgressSink::write(stream, line_, ctx));
    line_.clear();
  }
  return ok();
}

void ProgressSink::missing(FrameType stream, std::uint64_t bytes, const fiber::Context& ctx) {
  app_.note(fmt::format("{} bytes of {} were not kept", bytes, name_of(stream)), ctx);
}

Result<> CapturingSink::write(FrameType stream, std::string_view bytes, const fiber::Context&) {
  Captured& to = stream == FrameType::out ? out_ : err_;
  const std::size_t room = kMaxCapturedBytes - to.bytes.size();
  to.bytes += bytes.substr(0, room);
  to.cut = to.cut || bytes.size() > room;
  return ok();
}

void CapturingSink::missing(FrameType stream, std::uint64_t, const fiber::Context&) {
  (stream == FrameType::out ? out_ : err_).cut = true;
}

void CapturingSink::add_to(JsonObject& object) const {
  for (const auto& [name, captured] : {std::pair{"stdout", &out_}, {"stderr", &err_}}) {
    const bool text = is_utf8(captured->bytes);
    object[name] = text ? captured->bytes : base64_encode(captured->bytes);
    object[fmt::format("{}_encoding", name)] = text ? "utf-8" : "base64";
    object[fmt::format("{}_cut", name)] = captured->cut;
  }
}

}  // namespace tare::cli
