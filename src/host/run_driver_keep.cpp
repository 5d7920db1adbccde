// RunDriver: a session whose sandbox went while its runner was being exchanged. What it has written
// is its own: it hibernates with that, and the runner before, when that can be. Until then it is
// held: the launcher has not released the sandbox, and nothing runs in it.
#include <algorithm>
#include <chrono>

#include "fiber/task_group.h"
#include "host/run_driver.h"
#include "host/run_events.h"
#include "host/standing_upper.h"
#include "runs/rows.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

constexpr fiber::Duration kFirstPause = 1s, kLastPause = 4s;
// A store that is being started again, or a disk that is full for a moment: nobody is told yet.
constexpr fiber::Duration kPassingPatience = 10s;

bool may_pass(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::exhausted;
}

// Nobody wants its files any more, or they are gone with the launcher.
bool is_given_up(const LiveRun& live) { return live.kill_wanted || live.lost; }

// Nobody else looks at the age of one without a sandbox that lives.
bool is_too_old(const LiveRun& live, std::uint64_t now_ms) {
  const std::uint64_t time_ms = live.run.request.limits.time_ms;
  return time_ms > 0 && live.run.started_ms > 0 && now_ms >= live.run.started_ms + time_ms;
}

}  // namespace

Result<model::Run> RunDriver::store_discarded(LiveRun& live, const fiber::Context& ctx) const {
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until it is recorded
  auto upper = TRY(StandingUpper::stop(live, deps_, ctx));
  const std::string why = live.note.empty() ? "its sandbox ended while its runner was being changed"
                                            : live.note;
  auto event = event_at(model::RunEventType::hibernated, deps_.clock.wall_ms(),
                        runs::one_line(why));
  event.own = TRY(upper.own_layers(KeptFor::night, ctx));
  if (is_given_up(live))  // a launcher that is gone may have been followed by one that tidies up
    return Error{Errc::cancelled, live.run.id + " was given up while it was kept"};
  const auto hibernates = [&](runs::Store& store) -> Result<runs::AppendedEvent> {
    TRY(store.put_session_runner(kTenant, live.run.id, model::known_good(*live.runner)));
    return store.append_event(kTenant, live.run.id, event);
  };
  return TRY(record_at_last(live, "a discarded session could not be recorded", hibernates, ctx,
                            [&](const Error& refused) { hold(live, refused); }))
      .run;
}

// To copy much takes long: who gives it up does not wait for that.
Result<model::Run> RunDriver::store_unless_given_up(LiveRun& live,
                                                    const fiber::Context& ctx) const {
  fiber::CancelScope until_given_up(ctx);
  fiber::TaskGroup watching(ctx);
  watching.spawn([&](const fiber::Context& task) {
    if (live.changed.wait_until([&] { return is_given_up(live); }, task)) until_given_up.cancel();
  });
  return store_discarded(live, until_given_up.context());
}

void RunDriver::hold(LiveRun& live, const Error& why) const {
  const auto now = fiber::Clock::now();
  const bool is_new = !live.unkept || live.unkept->message != why.message;
  if (!live.unkept) live.unkept_since = now;
  live.unkept = why;
  live.unkept->message = runs::one_line(why.message);
  if (!live.held && may_pass(why) && now - live.unkept_since < kPassingPatience) return;
  if (is_new || !live.held)
    deps_.log.error("a discarded session is held", why, {{"run", live.run.id}});
  live.held = true;
  live.notify();
}

// Ended it is only by somebody, or by its age: it has nothing else to go back to than these files,
// or would lose all since it last slept. A failure that does not pass by itself passes when a
// secret is removed, say.
Result<> RunDriver::keep_discarded(LiveRun& live, const fiber::Context& ctx) const {
  if (!live.ended) return ok();
  live.discarded = true;
  for (auto pause = kFirstPause; !is_given_up(live); pause = std::min(2 * pause, kLastPause)) {
    auto kept = store_unless_given_up(live, ctx);
    if (kept) {
      live.run = std::move(*kept);
      live.checkpointing.whole_attempt = live.run.attempt;
      live.runner = model::known_good(*live.runner);
      return ok();
    }
    if (is_stop(kept.error(), ctx)) return std::move(kept).error();
    if (is_given_up(live)) break;
    hold(live, kept.error());
    if (is_too_old(live, deps_.clock.wall_ms())) {
      live.ended->message.outcome = {model::EndReason::timeout, 0, 0, {}};
      return ok();
    }
    auto given_up = live.changed.wait_until([&] { return is_given_up(live); },
                                            ctx.with_timeout(pause));
    if (!given_up && given_up.error().code != Errc::timeout) return given_up;
  }
  if (live.lost) live.ended.reset();  // its end is that of its launcher
  return ok();
}

}  // namespace tare::host
