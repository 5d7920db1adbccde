#include "host/sessions.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "fiber/timer.h"
#include "host/live_session.h"
#include "host/outcome_text.h"
#include "host/standing_upper.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

constexpr fiber::Duration kLookInterval = 250ms;
// Between the attempts to end one whose time was over while it slept; doubled each time.
constexpr fiber::Duration kFirstAgeRetry = 10s, kLastAgeRetry = 1h;

model::RunEvent hibernated_event(model::OwnLayers own, const std::string& why,
                                 std::uint64_t at_ms) {
  model::RunEvent event;
  event.at_ms = at_ms;
  event.type = model::RunEventType::hibernated;
  event.message = why;
  event.own = std::move(own);
  return event;
}

}  // namespace

Result<model::Run> Sessions::hibernate(const std::string& id, const std::string& why,
                                       const fiber::Context& ctx) {
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until it is recorded
  const auto live = TRY(live_session(runs_, id, ctx));
  if (live->hibernates()) return live->run;
  live->falling_asleep = true;
  const auto asleep = put_to_sleep(*live, why, ctx);
  live->falling_asleep = false;
  live->notify();
  TRY(asleep);
  TRY(live->changed.wait_until([&] { return !live->is_going() || live->ended_durably(); }, ctx));
  return live->run;
}

Result<> Sessions::put_to_sleep(LiveRun& live, const std::string& why, const fiber::Context& ctx) {
  auto upper = TRY(StandingUpper::stop(live, deps_, ctx));
  const std::uint64_t covers = live.checkpointing.asked;
  auto own = TRY(upper.own_layers(KeptFor::night, ctx));
  const auto event = hibernated_event(std::move(own), why, deps_.clock.wall_ms());
  auto appended = TRY(deps_.records.run(
      [&](runs::Store& store) { return store.append_event(kTenant, live.run.id, event); }));
  // Nothing of it happens any more: what an exec did, or said, after this would be lost.
  upper.stay();
  live.run = std::move(appended.run);
  live.checkpointing.kept = covers;
  live.checkpointing.whole_attempt = live.run.attempt;
  runs_.end_sandbox(live.run.id);
  live.notify();
  return ok();
}

Result<model::Run> Sessions::wake(const std::string& id, const fiber::Context& ctx) {
  return TRY(runs_.running(id, ctx))->run;
}

Result<std::vector<model::Run>> Sessions::fork(const std::string& id, std::size_t count,
                                               const fiber::Context& ctx) {
  if (count < 1 || count > kMaxForks)
    return field_error("count", fmt::format("must be 1 to {}", kMaxForks));
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until all of them are recorded
  const auto live = TRY(live_session(runs_, id, ctx));
  model::OwnLayers own = live->run.own;
  if (!live->hibernates()) {
    const InUse use(live);
    auto upper = StandingUpper::stop(*live, deps_, ctx);
    if (!upper && !live->hibernates()) return std::move(upper).error();  // it may sleep by now
    own = upper ? TRY(upper->own_layers(KeptFor::night, ctx)) : live->run.own;
  }
  std::vector<model::Run> forks;
  for (std::size_t i = 0; i < count; ++i) {
    NewRun wanted{
        .request = with_runner(live->run, live->runner).request, .request_digest = {}, .own = own};
    wanted.request.idempotency_key.clear();
    wanted.request.forked_from = id;
    auto made = runs_.create(std::move(wanted));
    if (!made && forks.empty()) return std::move(made).error();
    if (!made) {
      return std::move(made).error().context(
          fmt::format("{} of {} were made, see `tare session list`", forks.size(), count));
    }
    forks.push_back(std::move(made->run));
  }
  return forks;
}

Result<> Sessions::wake_for_output(LiveRun& live, const fiber::Context& ctx) {
  if (!live.hibernates() || live.driven || live.run.own.scratch.empty()) return ok();
  auto awake = runs_.running(live.run.id, ctx);
  return awake || live.is_over() ? ok() : Result<>(std::move(awake).error());
}

Result<std::pair<model::Run, bool>> Sessions::end(const std::string& id, Force force,
                                                  const fiber::Context& ctx) {
  if (const auto live = runs_.live(id); live && force == Force::no) {
    auto awake = wake_for_output(*live, ctx);
    TRY(ctx.check());
    if (!awake) {
      return Error{awake.error().code,
                   fmt::format("{}; `tare session kill --force {}` ends it without what is in its "
                               "/output",
                               awake.error().message, id)};
    }
  }
  return runs_.kill(id);
}

// ---- of which nothing is wanted

void Sessions::keep(const fiber::Context& ctx) {
  while (fiber::sleep_for(kLookInterval, ctx)) {
    for (const auto& live : runs_.sessions()) {
      look_at(live);
      checkpoints_.look_at(live);
    }
    checkpoints_.tidy();
  }
}

void Sessions::look_at(const std::shared_ptr<LiveRun>& live) {
  if (live->is_over() || live->is_going()) return;
  const model::RunRequest& request = live->run.request;
  if (live->hibernates() && !live->driven && request.limits.time_ms > 0 &&
      deps_.clock.wall_ms() >= live->run.started_ms + request.limits.time_ms) {
    if (fiber::Clock::now() >= live->age_next) on_age(live);
    return;
  }
  if (!live->started || request.idle_timeout_ms == 0 || live->uses > 0) return;
  const auto idle_for = fiber::Clock::now() - live->used_at;
  if (idle_for >= std::chrono::milliseconds(request.idle_timeout_ms)) on_idle(live);
}

void Sessions::on_idle(const std::shared_ptr<LiveRun>& live) {
  live->used_at = fiber::Clock::now();  // what fails is tried again after as long a time
  tasks_.spawn([this, live](const fiber::Context& ctx) {
    const std::string& id = live->run.id;
    const auto why = "idle for " + time_text(live->run.request.idle_timeout_ms);
    Result<> done = ok();
    if (live->run.request.on_idle == model::OnIdle::kill) {
      auto killed = runs_.kill(id, why);
      if (!killed) done = std::move(killed).error();
    } else {
      auto slept = hibernate(id, why, ctx);
      if (!slept) done = std::move(slept).error();
    }
    if (!done && !ctx.cancelled())
      deps_.log.warning("idle session stays", {{"run", id}, {"error", done.error().message}});
  });
}

void Sessions::on_age(const std::shared_ptr<LiveRun>& live) {
  if (live->ending_by_age) return;
  live->ending_by_age = true;
  tasks_.spawn([this, live](const fiber::Context& ctx) {
    auto awake = wake_for_output(*live, ctx);  // for a moment: its time is over
    live->ending_by_age = false;
    if (!awake) {
      // It sleeps on, with what is in its /output, until that can be collected.
      const auto wait = std::min(kFirstAgeRetry * (1U << std::min(live->age_tries++, 10U)),
                                 kLastAgeRetry);
      live->age_next = fiber::Clock::now() + wait;
      if (!ctx.cancelled())
        deps_.log.warning("a session whose time is over cannot be ended now",
                          {{"run", live->run.id}, {"error", awake.error().message}});
      return;
    }
    if (auto ended = runs_.end_by_age(live); !ended)
      deps_.log.error("end could not be recorded", ended.error(), {{"run", live->run.id}});
  });
}

}  // namespace tare::host
