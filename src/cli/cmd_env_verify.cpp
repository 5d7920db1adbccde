// tare env verify: of environments that are named, or of all that is kept.
#include <algorithm>
#include <functional>
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

// What a verification tells, line by line; tells of its progress.
class Verification {
 public:
  // `what` is in the progress. `on_event` takes what is found: "verified" and "extra".
  Verification(std::string what, App& app, const fiber::Context& ctx,
               std::function<void(const Json&)> on_event)
      : what_(std::move(what)),
        app_(app),
        ctx_(ctx),
        on_event_(std::move(on_event)),
        told_us_(app.clock.monotonic_us()) {}

  Result<> carry_out(const std::string& path) {
    TRY(app_.client.receive(
        path, [&](std::string_view bytes) { return feed(bytes); }, ctx_, http::Method::post));
    return ended_ ? ok() : Result<>(Error{Errc::internal, "the answer ended early"});
  }
  bool intact() const { return intact_; }
  bool clean() const { return clean_; }
  std::uint64_t entries() const { return entries_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  Result<> feed(std::string_view bytes) {
    rest_ += bytes;
    for (std::size_t end; (end = rest_.find('\n')) != std::string::npos;) {
      TRY(take(TRY(parse_json(std::string_view(rest_).substr(0, end)))));
      rest_.erase(0, end + 1);
    }
    if (rest_.size() > kMaxLineBytes) return Error{Errc::internal, "an event is too long"};
    return ok();
  }
  Result<> take(const Json& event) {
    const std::string kind = text_at(event, {"event"});
    if (kind == "layer") {
      layer_ = event;
      entries_ += number_at(event, {"entries"});
      bytes_ += number_at(event, {"bytes"});
    } else if (kind == "progress") {
      progress(event);
    } else if (kind == "failed") {
      return Error{Errc::internal, text_at(event, {"error", "message"})};
    } else if (kind == "done") {
      ended_ = true;
      intact_ = flag_at(event, {"intact"});
      clean_ = !event.as_object().contains("clean") || flag_at(event, {"clean"});
    } else if (kind == "verified" || kind == "extra") {
      on_event_(event);
    }
    return ok();
  }
  void progress(const Json& event) {
    const std::uint64_t now_us = app_.clock.monotonic_us();
    if (now_us < told_us_ + kProgressEveryUs) return;
    told_us_ = now_us;
    app_.note(fmt::format("{}: {} of {} read", printable(what_),
                          format_size_rounded(number_at(event, {"bytes"})),
                          format_size_rounded(number_at(layer_, {"bytes"}))),
              ctx_);
  }

  std::string what_;
  App& app_;
  const fiber::Context& ctx_;
  std::function<void(const Json&)> on_event_;
  std::uint64_t told_us_;
  std::string rest_;
  Json layer_ = nullptr;
  std::uint64_t entries_ = 0, bytes_ = 0;
  bool ended_ = false, intact_ = false, clean_ = true;
};

int status_of(bool intact, bool clean) {
  return !intact ? kExitSoftware : clean ? kExitOk : kExitConflict;
}

std::string secret_line(std::string_view owner, const Json& event) {
  return fmt::format("{}: SECRET: {}\n", printable(owner),
                     printable(text_at(event, {"secret"}), kMaxDifferenceShown));
}

// What has a secret is intact too: to say so beside it would read as if it were well.
bool has_secret(const JsonArray& layers) {
  return std::ranges::any_of(layers,
                             [](const Json& layer) { return !text_at(layer, {"secret"}).empty(); });
}

std::string intact_line(std::string_view owner, std::uint64_t files, std::uint64_t bytes) {
  // Of an upload no size is told.
  const std::string size = bytes == 0 ? "" : ", " + format_size_rounded(bytes);
  return fmt::format("{}: intact ({} {}{})\n", printable(owner), files,
                     files == 1 ? "file" : "files", size);
}

void copy_secret(const Json& from, JsonObject& into) {
  if (const auto secret = text_at(from, {"secret"}); !secret.empty()) into["secret"] = secret;
}

std::string query_of(const EnvVerifyCommand& command) {
  return command.secrets ? "?secrets=true" : "";
}

// ---- one environment

struct FoundEnvironment {
  bool intact = false, clean = true;
  JsonArray layers = {};
  std::uint64_t entries = 0, bytes = 0;
};

std::string verdict(const std::string& name, const FoundEnvironment& found) {
  std::string text;
  if (found.intact && !has_secret(found.layers))
    text = intact_line(name, found.entries, found.bytes);
  for (const Json& layer : found.layers) {
    if (!text_at(layer, {"secret"}).empty()) text += secret_line(name, layer);
    if (flag_at(layer, {"intact"})) continue;
    text += fmt::format("{}: DAMAGED: layer {}: {}\n", printable(name),
                        printable(text_at(layer, {"digest"})),
                        printable(text_at(layer, {"difference"}), kMaxDifferenceShown));
  }
  return text;
}

Result<FoundEnvironment> verify_environment(const std::string& name, const std::string& query,
                                            App& app, const fiber::Context& ctx) {
  FoundEnvironment found;
  Verification verification(name, app, ctx, [&](const Json& event) {
    JsonObject layer{{"digest", text_at(event, {"digest"})},
                     {"intact", flag_at(event, {"intact"})},
                     {"difference", text_at(event, {"difference"})}};
    copy_secret(event, layer);
    found.layers.push_back(std::move(layer));
  });
  TRY(verification.carry_out("/v1/environments/" + http::percent_encode(name) + "/verify" + query));
  found.intact = verification.intact();
  found.clean = verification.clean();
  found.entries = verification.entries();
  found.bytes = verification.bytes();
  return found;
}

Result<int> verify_named(const EnvVerifyCommand& command, App& app, const fiber::Context& ctx) {
  JsonArray report;
  std::map<std::string, FoundEnvironment> done;  // by digest: several names may have one
  bool intact = true, clean = true;
  for (const std::string& ref : command.refs) {
    const auto environment = TRY(
        app.client.get("/v1/environments/" + http::percent_encode(ref), ctx));
    const std::string name = text_at(environment.body, {"name"});
    const std::string digest = text_at(environment.body, {"digest"});
    if (!done.contains(digest))
      done[digest] = TRY(verify_environment(name, query_of(command), app, ctx));
    const FoundEnvironment& found = done[digest];
    intact = intact && found.intact;
    clean = clean && found.clean;
    report.push_back(JsonObject{
        {"name", name}, {"digest", digest}, {"intact", found.intact}, {"layers", found.layers}});
    if (!command.json) TRY(app.print(verdict(name, found), ctx));
  }
  if (command.json) {
    JsonObject all{{"intact", intact}, {"environments", std::move(report)}};
    if (command.secrets) all["clean"] = clean;
    TRY(app.print(pretty_text(all), ctx));
  }
  return status_of(intact, clean);
}

// ---- all that is kept

std::string damage(const Json& found, const std::string& needed_by) {
  return fmt::format("DAMAGED: {} {}{}: {}; {}", printable(text_at(found, {"kind"})),
                     printable(text_at(found, {"digest"})), printable(needed_by),
                     printable(text_at(found, {"difference"}), kMaxDifferenceShown),
                     printable(text_at(found, {"fix"}), kMaxDifferenceShown));
}

// The verdicts, by what they belong to.
class KeptReport {
 public:
  void take(const Json& event) {
    JsonObject found = event.as_object();
    found.erase("event");
    if (text_at(event, {"event"}) == "extra") {
      extra_.push_back(std::move(found));
      return;
    }
    if (text_at(event, {"kind"}) == "upload") {
      const JsonArray& owners = array_at(event, "needed_by");
      add("uploads", event, owners.empty() ? "" : " (for " + text_at(owners[0], {}) + ")");
    } else {
      for (const Json& owner : array_at(event, "needed_by")) add(text_at(owner, {}), event);
      if (array_at(event, "needed_by").empty()) add("no name", event);
    }
    objects_.push_back(std::move(found));
  }

  std::string text() const {
    std::string out;
    for (const auto& [owner, part] : parts_) {
      for (const std::string& line : part.damages)
        out += fmt::format("{}: {}\n", printable(owner), line);
      for (const Json& one : part.secrets) out += secret_line(owner, one);
      if (part.damages.empty() && part.secrets.empty())
        out += intact_line(owner, part.files, part.bytes);
    }
    for (const Json& one : extra_) {
      const bool stray = text_at(one, {"kind"}) == "stray";
      out += fmt::format("{}: {}: {}\n", stray ? "EXTRA" : "unused",
                         printable(text_at(one, {"path"}), kMaxDifferenceShown),
                         printable(text_at(one, {"fix"}), kMaxDifferenceShown));
    }
    return out;
  }
  JsonObject json(bool intact) && {
    return JsonObject{
        {"intact", intact}, {"objects", std::move(objects_)}, {"extra", std::move(extra_)}};
  }

 private:
  struct Part {
    std::uint64_t files = 0, bytes = 0;
    std::vector<std::string> damages;
    JsonArray secrets = {};
  };
  void add(const std::string& owner, const Json& found, const std::string& needed_by = {}) {
    Part& part = parts_[owner];
    part.files += text_at(found, {"kind"}) == "upload" ? 1 : number_at(found, {"entries"});
    part.bytes += number_at(found, {"bytes"});
    if (!text_at(found, {"secret"}).empty()) part.secrets.push_back(found);
    if (!flag_at(found, {"intact"})) part.damages.push_back(damage(found, needed_by));
  }

  std::map<std::string, Part> parts_;
  JsonArray objects_, extra_;
};

Result<int> verify_all(const EnvVerifyCommand& command, App& app, const fiber::Context& ctx) {
  KeptReport report;
  Verification verification("the store", app, ctx, [&](const Json& event) { report.take(event); });
  TRY(verification.carry_out("/v1/layers/verify" + query_of(command)));
  const bool intact = verification.intact(), clean = verification.clean();
  if (command.json) {
    JsonObject all = std::move(report).json(intact);
    if (command.secrets) all["clean"] = clean;
    TRY(app.print(pretty_text(all), ctx));
  } else {
    TRY(app.print(report.text(), ctx));
  }
  return status_of(intact, clean);
}

}  // namespace

Result<int> run_command(const EnvVerifyCommand& command, App& app, const fiber::Context& ctx) {
  return command.refs.empty() ? verify_all(command, app, ctx) : verify_named(command, app, ctx);
}

}  // namespace tare::cli
