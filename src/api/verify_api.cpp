// Verifying: of one environment, and of all that is kept. Streams of JSON objects, one a line.
#include "api/answers.h"
#include "api/handlers.h"
#include "base/base64.h"
#include "base/text.h"
#include "host/environment_verify.h"
#include "host/store_verify.h"

namespace tare::api {

namespace {

// The events of a verification.
class VerifyEvents {
 public:
  VerifyEvents(Exchange& exchange, Clock& clock) : exchange_(exchange), clock_(clock) {}

  // The answer begins with the first event, so that what goes wrong before has its own status.
  Result<> tell(const JsonObject& event) {
    if (!std::exchange(started_, true))
      TRY(exchange_.start(200, {{"Content-Type", "application/x-ndjson"}}, std::nullopt));
    return exchange_.write(to_text(Json(event)) + "\n");
  }
  Result<> layer(const snapshot::LayerInfo& layer) {
    return tell({{"event", "layer"},
                 {"digest", layer.digest},
                 {"entries", layer.entries},
                 {"bytes", layer.bytes}});
  }
  void progress(const snapshot::Progress& done) {
    const std::uint64_t now_us = clock_.monotonic_us();
    if (now_us < told_us_ + kVerifyProgressEveryUs) return;
    told_us_ = now_us;
    // A client that is gone ends the request's context, and that the verification.
    (void)tell({{"event", "progress"}, {"entries", done.entries}, {"bytes", done.bytes}});
  }
  Result<> finish(const Result<host::Soundness>& found, bool secrets) {
    if (!found && !started_) return found.error();
    if (!found) {
      return tell({{"event", "failed"},
                   {"error", JsonObject{{"code", to_string(found.error().code)},
                                        {"message", found.error().message}}}});
    }
    JsonObject done{{"event", "done"}, {"intact", found->intact}};
    if (secrets) done["clean"] = found->clean;
    return tell(done);
  }

 private:
  static constexpr std::uint64_t kVerifyProgressEveryUs = 250'000;
  Exchange& exchange_;
  Clock& clock_;
  std::uint64_t told_us_ = 0;
  bool started_ = false;
};

JsonObject event_of(const host::Verdict& verdict) {
  JsonArray needed_by;
  for (const std::string& owner : verdict.needed_by) needed_by.emplace_back(owner);
  JsonObject event{{"event", "verified"},
                   {"kind", host::to_string(verdict.kind)},
                   {"digest", verdict.digest},
                   {"entries", verdict.entries},
                   {"bytes", verdict.bytes},
                   {"needed_by", std::move(needed_by)},
                   {"needers", verdict.needers},
                   {"intact", verdict.intact},
                   {"difference", verdict.difference}};
  if (!verdict.path.empty()) event["path"] = verdict.path;
  if (!verdict.intact) event["fix"] = verdict.fix;
  if (!verdict.secret.empty()) event["secret"] = verdict.secret;
  return event;
}

JsonObject event_of(const host::Extra& extra) {
  JsonObject event{{"event", "extra"},
                   {"kind", extra.stray ? "stray" : "unused"},
                   {"path", extra.path},
                   {"fix", extra.fix}};
  if (!is_utf8(extra.path)) event["path_base64"] = base64url_encode(extra.path);
  if (!extra.stray) {
    event["entries"] = extra.entries;
    event["bytes"] = extra.bytes;
  }
  return event;
}

}  // namespace

Result<> verify_environment(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"secrets"}));
  const bool secrets = TRY(flag(exchange.query(), "secrets", false));
  const auto environment = TRY(services.environments.find(exchange.parameter("ref")));
  VerifyEvents events(exchange, services.deps.clock);
  const host::VerifyWatcher watcher{
      .on_layer = [&](const snapshot::LayerInfo& layer) { return events.layer(layer); },
      .on_progress = [&](const snapshot::Progress& done) { events.progress(done); },
      .on_verified =
          [&](const std::string& digest, const snapshot::Verified& verified,
              const std::string& secret) {
            JsonObject event{{"event", "verified"},
                             {"digest", digest},
                             {"intact", verified.intact},
                             {"difference", verified.difference}};
            if (!secret.empty()) event["secret"] = secret;
            return events.tell(event);
          }};
  return events.finish(host::verify_environment(environment, services.deps.store,
                                                secrets ? &services.deps.secrets : nullptr, watcher,
                                                exchange.context()),
                       secrets);
}

Result<> verify_store(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"secrets"}));
  const bool secrets = TRY(flag(exchange.query(), "secrets", false));
  VerifyEvents events(exchange, services.deps.clock);
  const auto audit = host::store_audit(
      services.deps, services.runs, secrets,
      [&](const snapshot::Progress& done) { events.progress(done); });
  const host::AuditWatcher watcher{
      .on_begin = [&](const snapshot::LayerInfo& layer) { return events.layer(layer); },
      .on_verdict = [&](const host::Verdict& verdict) { return events.tell(event_of(verdict)); },
      .on_extra = [&](const host::Extra& extra) { return events.tell(event_of(extra)); }};
  return events.finish(host::verify_store(audit, watcher, exchange.context()), secrets);
}

}  // namespace tare::api
