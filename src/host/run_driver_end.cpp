// RunDriver: how a run ends, or a session falls asleep.
#include <algorithm>
#include <chrono>

#include "fiber/timer.h"
#include "host/debian_build.h"
#include "host/denied_calls.h"
#include "host/image_record.h"
#include "host/launch_parts.h"
#include "host/outcome_text.h"
#include "host/registry_run.h"
#include "host/run_driver.h"
#include "host/run_events.h"
#include "host/run_reports.h"
#include "host/standing_upper.h"
#include "runs/rows.h"
#include "sandbox/plan/plan.h"
#include "snapshot/client.h"
#include "sys/files.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

// After the last process is gone the pipes are at their end; a reader that is waited for has this
// long.
constexpr fiber::Duration kStoreGrace = 30s;
constexpr std::size_t kLastWordsBytes = std::size_t{16} << 10;
constexpr std::uint64_t kCollectTimeoutMs = 10 * 60 * 1000;
constexpr fiber::Duration kRecordRetry = 1s;

// The end of stderr.
std::string last_words(const runs::OutputLog& log) {
  const runs::Extent there = log.extent(runs::Stream::err);
  const std::uint64_t size = std::min<std::uint64_t>(there.length, kLastWordsBytes);
  std::string text(size, '\0');
  const auto bytes = std::as_writable_bytes(std::span(text));
  text.resize(log.read_at(runs::Stream::err, there.length - size, bytes).value_or(0));
  return text;
}

std::string failure_of_build(const LiveRun& live, int exit_code) {
  const std::string verb = registry_verb(live.run.request);
  return build_failure(verb.empty() ? "build" : verb, last_words(*live.log->log), exit_code);
}

// With the end of a run: what it has made, and said.
Result<> record_more(runs::Store& store, const LiveRun& live, const model::Run& ended) {
  if (live.image) TRY(record_image(store, *live.image, ended, live.imported, live.imported_image));
  return record_report(store, live);
}

// What it has made is refused: it has ended all the same. An environment whose record cannot even
// be marked is marked at the next start (builds_under_way).
Result<runs::AppendedEvent> end_refused(runs::Store& store, const LiveRun& live, const Error& why,
                                        std::uint64_t at_ms) {
  const Error fault{Errc::internal, "its result could not be recorded: " + why.message};
  auto done = TRY(store.append_event(kTenant, live.run.id, ended_early(fault, at_ms)));
  if (live.image) (void)record_image(store, *live.image, done.run, {});
  return done;
}

bool is_empty_folder(int folder) {
  auto names = sys::list_dir(folder, ".", 1);
  return names && names->empty();
}

}  // namespace

model::RunEvent ended_early(const Error& why, std::uint64_t at_ms) {
  using model::EndReason;
  model::RunEvent event = event_at(model::RunEventType::ended, at_ms);
  EndReason reason = EndReason::setup_failed;
  if (why.code == Errc::internal) reason = EndReason::daemon_error;
  if (why.code == Errc::unavailable) reason = EndReason::launcher_lost;
  if (why.code == Errc::cancelled) reason = EndReason::killed;
  event.outcome = model::Outcome{reason, 0, 0, runs::one_line(why.message)};
  return event;
}

bool sleeps_on(const LiveRun& live, const model::RunEvent& end) {
  using model::EndReason;
  const EndReason reason = end.outcome->reason;
  // Nobody waits for the record of a start: where that is lost with the launcher, there was one.
  const bool durable = live.run.request.durable &&
                       (live.run.started_ms > 0 || reason == EndReason::launcher_lost);
  const bool has_slept = live.run.attempt > 1 || !live.run.request.forked_from.empty() ||
                         live.run.checkpoint.own || durable;
  const bool not_its_own = reason == EndReason::launcher_lost ||
                           reason == EndReason::setup_failed || reason == EndReason::daemon_error ||
                           reason == EndReason::killed;
  // Before it is awake nothing can be its own doing: it was too much to be made, say.
  return live.run.request.session && has_slept && !live.kill_wanted &&
         (not_its_own || !live.started);
}

Result<> RunDriver::collect(LiveRun& live, const fiber::Context& ctx) const {
  if (!live.ended || !live.ended->output.valid()) return ok();
  const int output = live.ended->output.get();
  if (is_empty_folder(output)) return ok();
  const model::Limits& limits = live.run.request.limits;
  snapshot::Collect request;
  request.run = live.run.id;
  request.owner_base = live.ended->message.uid_base;
  request.owner_count = sandbox::kIdRange;
  request.limits = {.max_entries = kMaxOutputFiles,
                    .max_bytes = limits.disk_bytes,
                    .max_file_bytes = std::uint64_t{1} << 40};
  request.timeout_ms = kCollectTimeoutMs;
  const auto patience = fiber::Clock::now() + kStoreGrace;
  for (;;) {
    auto collected = snapshot::expect<snapshot::Collected>(
        deps_.store.call(request, std::span(&output, 1), ctx));
    if (collected) {
      const auto skipped = collected->skipped_in_all();
      if (skipped > 0) live.add_note(fmt::format("{} entries of /output were not kept", skipped));
      return ok();
    }
    Error& error = collected.error();
    if (is_stop(error, ctx)) return std::move(error);
    if (error.code == Errc::conflict) return ok();  // the tared before us had it collected
    if (error.code != Errc::unavailable || fiber::Clock::now() > patience) {
      error = std::move(error).context("/output could not be collected");
      live.add_note(error.message);
      // A success without its result would be a lie; a failure stays what it is.
      if (live.ended->message.outcome.reason == model::EndReason::exited)
        live.fault = std::move(error);
      return ok();
    }
    TRY(fiber::sleep_for(kRecordRetry, ctx));
  }
}

// What the commands of a build have changed.
Result<> RunDriver::commit(LiveRun& live, const fiber::Context& ctx) const {
  if (live.purpose == Purpose::build || !live.ended) return ok();
  const model::Outcome& outcome = live.ended->message.outcome;
  if (outcome.reason != model::EndReason::exited || outcome.exit_code != 0) return ok();
  auto publishing = deps_.layers.publish(ctx);
  if (!publishing) return std::move(publishing).error();  // tared stops
  live.publishing = std::move(*publishing);
  auto committed = [&]() -> Result<snapshot::Imported> {
    TRY(refuse_secrets(deps_.secrets, deps_.store, layers_of(live.run.request), live.image->config,
                       ctx));
    const auto upper = TRY(StandingUpper::stop(live, deps_, ctx));
    return upper.freeze(UpperPart::environment, ctx);
  }();
  if (committed) {
    live.imported = committed->layer;
  } else if (is_stop(committed.error(), ctx)) {
    return std::move(committed).error();
  } else {
    const bool refused = committed.error().code == Errc::conflict;  // a secret is in it
    live.fault = std::move(committed).error().context(
        refused ? "what was built is refused" : "what was built could not be stored");
  }
  return ok();
}

// Again and again while the database cannot take it: the disk is full, say.
Result<runs::AppendedEvent> RunDriver::record_at_last(const LiveRun& live, std::string_view refused,
                                                      const Recording& operation,
                                                      const fiber::Context& ctx,
                                                      const OnRefused& on_refused) const {
  for (;;) {
    auto appended = deps_.records.run(operation);
    if (appended) return appended;
    deps_.log.error(refused, appended.error(), {{"run", live.run.id}});
    if (appended.error().code == Errc::conflict || appended.error().code == Errc::not_found)
      return appended;
    if (on_refused) on_refused(appended.error());
    TRY(fiber::sleep_for(kRecordRetry, ctx));
  }
}

// A session whose sandbox has gone: it hibernates. `end`: of a sandbox that was lost, or could not
// be made. The session is then what it was when it was last kept, which is on record.
Result<> RunDriver::fall_asleep(LiveRun& live, std::optional<model::RunEvent> end,
                                const fiber::Context& ctx) const {
  model::RunEvent slept = event_at(model::RunEventType::slept, deps_.clock.wall_ms());
  if (live.ended) slept.usage = live.ended->message.usage;
  slept.usage.denied_calls = total_denied(live);
  model::RunEvent back = event_at(model::RunEventType::hibernated, slept.at_ms);
  back.own = model::wakes_with(live.run);
  if (end) back.message = slept.message = live.wake_fault = end->outcome->message;
  const auto falls_asleep = [&](runs::Store& store) -> Result<runs::AppendedEvent> {
    if (end) TRY(store.append_event(kTenant, live.run.id, back));
    if (live.is_half_changed())
      TRY(store.put_session_runner(kTenant, live.run.id, model::known_good(*live.runner)));
    return store.append_event(kTenant, live.run.id, slept);
  };
  live.run = TRY(record_at_last(live, "sleep could not be recorded", falls_asleep, ctx)).run;
  if (live.runner) live.runner = model::known_good(*live.runner);
  deps_.log.info("session hibernates", {{"run", live.run.id}, {"why", slept.message}});
  live.notify();
  if (!live.launched || live.lost) return ok();
  (void)deps_.launcher.send(sandbox::ReleaseMessage{live.run.id}, {}, ctx);
  return ok();
}

// A sandbox that could not be made: is it for want of a layer? The launcher only knows the step,
// and tared cannot look into the store itself.
Result<> RunDriver::name_missing_layer(LiveRun& live, const fiber::Context& ctx) const {
  if (!live.ended || live.ended->message.outcome.reason != model::EndReason::setup_failed)
    return ok();
  std::vector<std::string> layers = deps_.flat.mounted(live.run);
  const model::Run run = with_runner(live.run, live.runner);
  if (!run.request.runner_digest.empty()) layers.push_back(run.request.runner_digest);
  for (const std::string& digest : layers) {
    const auto there = snapshot::expect<snapshot::LayerInfo>(
        deps_.store.call(snapshot::StatLayer{digest}, {}, ctx));
    if (!there && is_stop(there.error(), ctx)) return there.error();
    if (there || there.error().code != Errc::not_found) continue;
    live.ended->message.failed_step = 0;
    live.ended->message.outcome.message = fmt::format(
        "{} (store/layers/{}): put it back from a backup; `tare env verify` says what needs it and "
        "how it can be made again",
        there.error().message, digest.substr(std::string_view("sha256:").size()));
    return ok();
  }
  return ok();
}

model::RunEvent RunDriver::ending(LiveRun& live) const {
  using model::EndReason;
  model::RunEvent event = event_at(model::RunEventType::ended, deps_.clock.wall_ms(), live.note);
  model::Outcome outcome{EndReason::launcher_lost, 0, 0, live.lost.value_or("")};
  std::uint32_t failed_step = 0;
  if (live.ended) {
    outcome = live.ended->message.outcome;
    event.usage = live.ended->message.usage;
    failed_step = live.ended->message.failed_step;
  }
  event.usage.denied_calls = total_denied(live);
  const bool own_end = outcome.reason == EndReason::exited ||
                       outcome.reason == EndReason::signalled;
  if (live.output_limit_hit && own_end) outcome = {EndReason::output_limit, 0, 0, {}};
  const bool build_failed = live.purpose != Purpose::run && outcome.reason == EndReason::exited &&
                            outcome.exit_code != 0;
  if (live.fault && !build_failed) {
    outcome = {EndReason::daemon_error, 0, 0, live.fault->message};
  }
  if (live.image && outcome.reason == EndReason::exited && outcome.exit_code == 0 &&
      live.imported.digest.empty()) {
    outcome = {EndReason::daemon_error, 0, 0, "the build made no image"};
  }
  std::vector<sandbox::Step> steps;
  if (failed_step > 0) {
    auto spec = sandbox_spec(live.run, live.purpose);
    const auto plans = spec ? plans_of(*spec, deps_.filters).value_or({}) : sandbox::Plans();
    steps = plans.all();
    if (!live.ended->message.in_base) failed_step += static_cast<std::uint32_t>(plans.base.size());
  }
  outcome.message = build_failed && live.log && live.purpose == Purpose::build
                        ? failure_of_build(live, outcome.exit_code)
                        : outcome_text(outcome, live.run.request, steps, failed_step);
  if (outcome.reason == EndReason::killed && !live.kill_why.empty())
    outcome.message = "the session was ended: " + live.kill_why;
  if (live.unkept) {
    outcome.message += outcome.message.empty() ? "" : "; ";
    outcome.message += "what it had written could not be kept: " + live.unkept->message;
  }
  if (event.usage.met_a_limit()) {
    outcome.message += outcome.message.empty() ? "" : "; ";
    outcome.message += limits_text(event.usage, live.run.request.limits);
  }
  outcome.message = runs::one_line(outcome.message);
  event.outcome = std::move(outcome);
  if (live.log) {
    event.usage.stdout_bytes = live.log->log->lengths().out;
    event.usage.stderr_bytes = live.log->log->lengths().err;
    event.log_cut = live.log->log->cut().has_value();
  }
  return event;
}

Result<> RunDriver::record_end(LiveRun& live, model::RunEvent event,
                               const fiber::Context& ctx) const {
  if (live.log && live.log->log->lengths().sum() > 0) {
    auto synced = deps_.offload.run([&] { return live.log->log->sync(); }, ctx);
    if (!synced && is_stop(synced.error(), ctx)) return synced;
    if (!synced)
      deps_.log.error("output could not be made durable", synced.error(), {{"run", live.run.id}});
  }
  finish_report(live, deps_);
  const auto denied = denied_events(live, deps_.clock.wall_ms(), Told::at_the_end);
  std::optional<Error> refused;
  const auto ends = [&](runs::Store& store) -> Result<runs::AppendedEvent> {
    if (refused) return end_refused(store, live, *refused, event.at_ms);
    for (const model::RunEvent& call : denied) {
      TRY(store.append_event(kTenant, live.run.id, call));
    }
    auto done = store.append_event(kTenant, live.run.id, event);
    if (!done && done.error().code == Errc::invalid) refused = done.error();
    if (!done) return done;
    auto more = record_more(store, live, done->run);
    if (more) return done;
    // The database has just taken something: this it will not take the next time, either.
    if (more.error().code == Errc::invalid || more.error().code == Errc::internal)
      refused = more.error();
    return std::move(more).error();
  };
  live.run = TRY(record_at_last(live, "end could not be recorded", ends, ctx)).run;
  live.publishing = {};
  if (live.image) deps_.flat.notice();
  deps_.log.info("run ended", {{"run", live.run.id},
                               {"state", model::to_string(live.run.state)},
                               {"reason", model::to_string(live.run.outcome->reason)}});
  live.notify();
  return ok();
}

}  // namespace tare::host
