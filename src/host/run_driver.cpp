#include "host/run_driver.h"

#include <chrono>

#include "fiber/loop.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"
#include "fiber/wait.h"
#include "host/denied_calls.h"
#include "host/image_limits.h"
#include "host/launch_parts.h"
#include "host/output_pump.h"
#include "host/run_events.h"
#include "host/run_reports.h"
#include "runs/rows.h"
#include "sys/files.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

// A build whose image was no good, to end by itself and say why.
constexpr fiber::Duration kBuildGrace = 2s;
constexpr std::string_view kNotRecorded = "the run could not be recorded";
constexpr std::string_view kNothingKept =
    "; nothing of the session was kept: `tare session checkpoint`, or `tare session new "
    "--checkpoint TIME` or `--durable`, would have";
// Of the launcher, for one that it may not even know.
constexpr fiber::Duration kKillPatience = 10s;

}  // namespace

Result<> RunDriver::drive(LiveRun& live, const fiber::Context& ctx) const {
  auto end = story(live, ctx);
  if (!end && is_stop(end.error(), ctx)) return std::move(end).error();
  TRY(live.changed.wait_until([&] { return live.recorded != LiveRun::Recorded::pending; }, ctx));
  if (live.recorded ==
      LiveRun::Recorded::failed) {  // never was a run: another one has its key, or the disk is full
    TRY(end_sandbox(live, ctx));    // its program may have begun
    if (live.ended && !live.ended->message.never_began)
      (void)deps_.launcher.send(sandbox::ReleaseMessage{live.run.id}, {}, ctx);
    live.log.reset();
    return sys::remove_tree_at(deps_.runs_dir, live.run.id);
  }
  if (!end) TRY(end_sandbox(live, ctx));
  if (live.hibernates() && !end) {
    // It could not be recorded that it is woken: it has not left its sleep.
    live.wake_fault = runs::one_line(end.error().message);
    if (live.launched && !live.lost)
      (void)deps_.launcher.send(sandbox::ReleaseMessage{live.run.id}, {}, ctx);
    return ok();
  }
  if (live.hibernates()) return fall_asleep(live, {}, ctx);
  if (!end) end = ended_early(end.error(), deps_.clock.wall_ms());
  // A checkpoint that is just being recorded is what it wakes with.
  TRY(live.changed.wait_until([&] { return live.keeping == 0; }, ctx));
  if (sleeps_on(live, *end)) return fall_asleep(live, std::move(*end), ctx);
  if (live.run.request.session && end->outcome->reason == model::EndReason::launcher_lost)
    end->outcome->message += kNothingKept;
  TRY(record_end(live, std::move(*end), ctx));
  if (!live.launched || live.lost) return ok();
  // Not an error when it fails: the next list of live sandboxes shows it, and it is released then.
  (void)deps_.launcher.send(sandbox::ReleaseMessage{live.run.id}, {}, ctx);
  return ok();
}

// Of a story that broke off its sandbox may be alive, and nobody would look after it any more.
Result<> RunDriver::end_sandbox(LiveRun& live, const fiber::Context& ctx) const {
  if (!live.launched || live.ended || live.lost) return ok();
  (void)deps_.launcher.send(sandbox::KillMessage{live.run.id}, {}, ctx);
  auto gone = live.changed.wait_until([&] { return live.ended || live.lost; },
                                      ctx.with_timeout(kKillPatience));
  return gone || gone.error().code == Errc::timeout ? ok() : std::move(gone);
}

// The run, top to bottom.
Result<model::RunEvent> RunDriver::story(LiveRun& live, const fiber::Context& ctx) const {
  do {
    if (live.launched) {
      TRY(take_up(live, ctx));
    } else {
      TRY(launch(live, ctx));
    }
    TRY(watch(live, ctx));
  } while (TRY(to_be_launched_again(live)));
  live.output_taken = true;
  live.changed.notify_all();
  if (live.is_half_changed()) TRY(keep_discarded(live, ctx));
  if (live.hibernates()) return model::RunEvent();  // its end is another one
  TRY(live.purpose == Purpose::run ? collect(live, ctx) : commit(live, ctx));
  TRY(name_missing_layer(live, ctx));
  return ending(live);
}

// Until every process is gone and all output is taken.
Result<> RunDriver::watch(LiveRun& live, const fiber::Context& ctx) const {
  fiber::TaskGroup pumps(ctx);
  const bool logged = live.log != nullptr;  // else its gate stays closed: nothing is ever written
  if (logged && live.stderr_read.valid()) {
    pumps.spawn([&](const fiber::Context& task) {
      pump(live, runs::Stream::err, live.stderr_read.get(), task);
    });
  }
  if (live.feed) pumps.spawn([&](const fiber::Context& task) { feed(live, task); });
  if (live.report && live.report_read.valid()) {
    pumps.spawn([&](const fiber::Context& task) { take_reports(live, deps_.log, task); });
  }
  if (live.purpose == Purpose::build && live.image) {
    if (!live.reattached) pumps.spawn([&](const fiber::Context& task) { import(live, task); });
  } else if (logged && live.stdout_read.valid()) {
    pumps.spawn([&](const fiber::Context& task) {
      pump(live, runs::Stream::out, live.stdout_read.get(), task);
    });
  }
  TRY(follow(live, ctx));  // until every process is gone: nobody can hold the pipes open any more
  pumps.join();
  return ctx.check();
}

// The gate of its launch was closed, by us or because the tared before us died: nothing has run.
Result<bool> RunDriver::to_be_launched_again(LiveRun& live) const {
  if (!live.ended || !live.ended->message.never_began) return false;
  if (live.fault) return *live.fault;
  if (live.kill_wanted) return Error{Errc::cancelled, "killed before it was launched"};
  if (live.lost) return false;
  live.ended.reset();
  live.launched = live.reattached = false;
  return true;
}

Result<> RunDriver::launch(LiveRun& live, const fiber::Context& ctx) const {
  if (!live.orphaned.empty()) return Error{Errc::internal, live.orphaned};
  LaunchParts parts = TRY(prepare_launch(live, deps_));
  if (live.kill_wanted) return Error{Errc::cancelled, "killed before it was launched"};
  live.launched = true;
  // Sent while the disk is busy with the run's row. Nothing of the run's begins before the gate
  // opens; if it closes instead, there was no launch. It opens before the row is durable for a
  // program that can reach nobody: what it says is kept back until then (docs/decisions/0011).
  TRY(deps_.launcher.send(parts.message, parts.borrowed(), ctx));
  parts.fds.clear();
  const auto open_its_output = [&] {
    if (auto opened = open_output(live, deps_); !opened && !live.fault)
      live.fault = std::move(opened).error();
  };
  // Not a session's: one whose log cannot be opened sleeps on, and is not killed for it.
  const bool opens_late = parts.shut_in && !live.run.request.session;
  if (!opens_late) open_its_output();
  const auto may_begin = [&] {
    return live.recorded != LiveRun::Recorded::pending || (live.admitted && parts.shut_in);
  };
  TRY(live.changed.wait_until(may_begin, ctx));
  if (live.recorded == LiveRun::Recorded::failed)
    return Error{Errc::internal, std::string(kNotRecorded)};
  if (live.fault || live.kill_wanted) return ok();
  // A launcher that is gone is told of otherwise.
  (void)sys::write_all(parts.gate.get(), "g");
  if (!opens_late) return ok();
  open_its_output();
  if (live.fault) (void)deps_.launcher.send(sandbox::KillMessage{live.run.id}, {}, ctx);
  return ok();
}

// A run that the tared before us had launched: goes on where the log ends.
Result<> RunDriver::take_up(LiveRun& live, const fiber::Context& ctx) const {
  if (live.lost) return ok();
  TRY(open_output(live, deps_));
  deps_.records.queue(
      [id = live.run.id, event = event_at(model::RunEventType::reattached, deps_.clock.wall_ms(),
                                          "tared was restarted")](runs::Store& store) {
        return store.append_event(kTenant, id, event);
      },
      [](auto) {});
  if (!live.orphaned.empty()) {
    fail(live, Error{Errc::internal, live.orphaned}, ctx);
  } else if (live.purpose == Purpose::build) {
    fail(live, Error{Errc::internal, "tared was restarted while it built: build it again"}, ctx);
  }
  if (live.kill_wanted || live.discarded)
    TRY(deps_.launcher.send(sandbox::KillMessage{live.run.id}, {}, ctx));
  return ok();
}

void RunDriver::pump(LiveRun& live, runs::Stream stream, int pipe,
                     const fiber::Context& ctx) const {
  auto pumped = pump_all(live, stream, pipe, ctx);
  if (!pumped && !is_stop(pumped.error(), ctx)) {
    fail(live, std::move(pumped).error().context("the output could not be kept"), ctx);
  }
}

Result<> RunDriver::pump_all(LiveRun& live, runs::Stream stream, int pipe,
                             const fiber::Context& ctx) const {
  const PumpRules rules{
      .reader_goes = [&live] { return live.kill_wanted && (live.ended || live.lost); },
      .over_limit = [&] { hit_output_limit(live, ctx); }};
  return pump_output(*live.log, stream, pipe, rules, ctx);
}

void RunDriver::hit_output_limit(LiveRun& live, const fiber::Context& ctx) const {
  if (live.output_limit_hit) return;
  live.output_limit_hit = true;
  (void)deps_.launcher.send(sandbox::KillMessage{live.run.id, model::EndReason::output_limit}, {},
                            ctx);
}

Result<> RunDriver::store_image(LiveRun& live, const fiber::Context& ctx) const {
  const int archive = live.stdout_read.get();
  (void)sys::set_nonblocking(archive, false);  // the store reads it as a plain file
  const sys::UniqueFd secrets = TRY(deps_.secrets.file());
  const int fds[] = {archive, secrets.get()};
  if (live.archive) {
    live.imported_image = TRY(
        snapshot::expect<snapshot::ImageImported>(deps_.store.call(*live.archive, fds, ctx)));
    live.imported = live.imported_image->layers.back();  // an image has one or more
    return ok();
  }
  const snapshot::ImportTar request{.limits = kImportLimits, .timeout_ms = kImportTimeoutMs};
  live.imported = TRY(snapshot::expect<snapshot::Imported>(deps_.store.call(request, fds, ctx)))
                      .layer;
  return ok();
}

// What it is given on stdin; then that ends.
void RunDriver::feed(LiveRun& live, const fiber::Context& ctx) const {
  const auto settled = [&] { return live.started || live.ended || live.lost; };
  if (!live.changed.wait_until(settled, ctx) || !live.started) return;
  auto pipe = sys::dup_fd(live.stdin_write.get());
  live.stdin_write.reset();
  auto fed = pipe ? live.feed(std::move(*pipe), ctx) : Result<>(std::move(pipe).error());
  live.feed = nullptr;
  (void)deps_.launcher.send(sandbox::CloseStdinMessage{live.run.id}, {}, ctx);
  if (fed || is_stop(fed.error(), ctx)) return;
  // A program that takes no more has most often failed: its end is on the way, and says why.
  (void)live.changed.wait_until([&] { return live.ended || live.lost; },
                                ctx.with_timeout(kBuildGrace));
  fail(live, std::move(fed).error(), ctx);
}

// A build: what it writes to stdout is the image, and goes to the store.
void RunDriver::import(LiveRun& live, const fiber::Context& ctx) const {
  auto publishing = deps_.layers.publish(ctx);
  if (!publishing) return;  // tared stops
  live.publishing = std::move(*publishing);
  auto imported = store_image(live, ctx);
  if (!imported && !is_stop(imported.error(), ctx)) {
    // Half an image is most often that of a build that failed: its end is on the way, and says why.
    (void)live.changed.wait_until([&] { return live.ended || live.lost; },
                                  ctx.with_timeout(kBuildGrace));
    fail(live, std::move(imported).error().context("the image could not be stored"), ctx);
  }
}

Result<> RunDriver::follow(LiveRun& live, const fiber::Context& ctx) const {
  TRY(live.changed.wait_until([&] { return live.recorded != LiveRun::Recorded::pending; }, ctx));
  if (live.recorded == LiveRun::Recorded::failed)
    return Error{Errc::internal, std::string(kNotRecorded)};
  bool recorded = live.run.state != model::RunState::starting;
  for (;;) {
    if (live.started && !recorded) {
      record_started(live);
      recorded = true;
    }
    if (recorded) tell_denied(live, deps_);
    if (live.ended || live.lost) break;
    TRY(live.changed.wait(ctx));
  }
  live.stdin_write.reset();
  live.changed.notify_all();
  return ok();
}

// Not waited for: the program runs already, and its end is recorded behind it, with the same commit
// if it comes soon.
void RunDriver::record_started(LiveRun& live) const {
  const auto message = live.started->start_us == 0
                           ? std::string()
                           : fmt::format("after {} us, in a sandbox {}", live.started->start_us,
                                         live.started->warm ? "that was ready"
                                                            : "made for it (none was ready)");
  const auto event = event_at(model::RunEventType::started, deps_.clock.wall_ms(), message);
  if (auto run = model::advance(live.run, event)) live.run = std::move(*run);
  live.changed.notify_all();
  deps_.records.queue_soon(
      [id = live.run.id, event](runs::Store& store) {
        return store.append_event(kTenant, id, event);
      },
      [&log = deps_.log, id = live.run.id](Result<runs::AppendedEvent> appended) {
        if (!appended) log.error("start could not be recorded", appended.error(), {{"run", id}});
      });
}

void RunDriver::fail(LiveRun& live, Error why, const fiber::Context& ctx) const {
  deps_.log.error("run cannot go on", why, {{"run", live.run.id}});
  if (!live.fault) live.fault = std::move(why);
  (void)deps_.launcher.send(sandbox::KillMessage{live.run.id}, {}, ctx);
}

}  // namespace tare::host
