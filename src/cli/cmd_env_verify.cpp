// tare env verify.
#include <map>

#include <fmt/core.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "http/url.h"

namespace tare::cli {
namespace {

constexpr std::uint64_t kProgressEveryUs = 2'000'000;
constexpr std::size_t kMaxLineBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxDifferenceShown = 1000;

// What one environment's verification has told, line by line.
class Verification {
 public:
  Verification(std::string name, App& app, const fiber::Context& ctx)
      : name_(std::move(name)), app_(app), ctx_(ctx), told_us_(app.clock.monotonic_us()) {}

  Result<> feed(std::string_view bytes) {
    rest_ += bytes;
    for (std::size_t end; (end = rest_.find('\n')) != std::string::npos;) {
      TRY(take(TRY(parse_json(std::string_view(rest_).substr(0, end)))));
      rest_.erase(0, end + 1);
    }
    if (rest_.size() > kMaxLineBytes) return Error{Errc::internal, "an event is too long"};
    return ok();
  }
  bool ended() const { return ended_; }
  bool intact() const { return intact_; }
  const JsonArray& layers() const { return layers_; }
  std::uint64_t entries() const { return entries_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  Result<> take(const Json& event) {
    const std::string kind = text_at(event, {"event"});
    if (kind == "layer") {
      layer_ = event;
      entries_ += number_at(event, {"entries"});
      bytes_ += number_at(event, {"bytes"});
    } else if (kind == "progress") {
      progress(event);
    } else if (kind == "verified") {
      layers_.push_back(JsonObject{{"digest", text_at(event, {"digest"})},
                                   {"intact", flag_at(event, {"intact"})},
                                   {"difference", text_at(event, {"difference"})}});
    } else if (kind == "failed") {
      return Error{Errc::internal, text_at(event, {"error", "message"})};
    } else if (kind == "done") {
      ended_ = true;
      intact_ = flag_at(event, {"intact"});
    }
    return ok();
  }
  void progress(const Json& event) {
    const std::uint64_t now_us = app_.clock.monotonic_us();
    if (now_us < told_us_ + kProgressEveryUs) return;
    told_us_ = now_us;
    app_.note(fmt::format("{}: {} of {} read", printable(name_),
                          format_size_rounded(number_at(event, {"bytes"})),
                          format_size_rounded(number_at(layer_, {"bytes"}))),
              ctx_);
  }

  std::string name_;
  App& app_;
  const fiber::Context& ctx_;
  std::uint64_t told_us_;
  std::string rest_;
  Json layer_ = nullptr;
  JsonArray layers_;
  std::uint64_t entries_ = 0, bytes_ = 0;
  bool ended_ = false, intact_ = false;
};

Result<JsonArray> chosen(const EnvVerifyCommand& command, App& app, const fiber::Context& ctx) {
  JsonArray out;
  for (const std::string& ref : command.refs) {
    out.push_back(TRY(app.client.get("/v1/environments/" + http::percent_encode(ref), ctx)).body);
  }
  if (!command.refs.empty()) return out;
  const auto all = TRY(app.client.get("/v1/environments", ctx));
  for (const Json& one : array_at(all.body, "environments")) {
    if (text_at(one, {"state"}) == "ready" && !array_at(one, "layers").empty()) out.push_back(one);
  }
  return out;
}

std::string verdict(const std::string& name, const Verification& found) {
  if (found.intact()) {
    return fmt::format("{}: intact ({} files, {})\n", printable(name), found.entries(),
                       format_size_rounded(found.bytes()));
  }
  std::string text;
  for (const Json& layer : found.layers()) {
    if (flag_at(layer, {"intact"})) continue;
    text += fmt::format("{}: DAMAGED: layer {}: {}\n", printable(name),
                        printable(text_at(layer, {"digest"})),
                        printable(text_at(layer, {"difference"}), kMaxDifferenceShown));
  }
  return text;
}

}  // namespace

Result<int> run_command(const EnvVerifyCommand& command, App& app, const fiber::Context& ctx) {
  JsonArray report;
  std::map<std::string, Verification> done;  // by digest: several names may have the same layers
  bool intact = true;
  for (const Json& environment : TRY(chosen(command, app, ctx))) {
    const std::string name = text_at(environment, {"name"});
    const std::string digest = text_at(environment, {"digest"});
    const auto [it, fresh] = done.try_emplace(digest, name, app, ctx);
    Verification& found = it->second;
    if (fresh) {
      TRY(app.client.receive(
          "/v1/environments/" + http::percent_encode(name) + "/verify",
          [&](std::string_view bytes) { return found.feed(bytes); }, ctx, http::Method::post));
      if (!found.ended()) return Error{Errc::internal, "the answer ended early"};
    }
    intact = intact && found.intact();
    report.push_back(JsonObject{{"name", name},
                                {"digest", digest},
                                {"intact", found.intact()},
                                {"layers", found.layers()}});
    if (!command.json) TRY(app.print(verdict(name, found), ctx));
  }
  if (command.json) {
    TRY(app.print(pretty_text(JsonObject{{"intact", intact}, {"environments", std::move(report)}}),
                  ctx));
  }
  return intact ? kExitOk : kExitSoftware;
}

}  // namespace tare::cli
