#include "host/checkpoints.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "fiber/loop.h"
#include "host/layer_sweep.h"
#include "host/live_session.h"
#include "host/run_events.h"
#include "host/standing_upper.h"
#include "runs/rows.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

// Removing layers holds up whoever makes one: many at once, or those that have waited long enough.
constexpr std::size_t kManyReplaced = 16;
constexpr fiber::Duration kReplacedPatience = 5s;
// So many at a time.
constexpr std::size_t kMostRemoved = 256;
// A session's record has no more than so many, that it stays small and a hibernation can add its
// own. What is beyond that, while something is stored for minutes, say, this tared remembers.
constexpr std::ptrdiff_t kMostListed = model::kMaxReplacedLayers / 2;
constexpr std::size_t kMostUnlisted = 16'384;

bool is_awake(const LiveRun& live) {
  return live.started && !live.hibernates() && !live.is_going() && !live.is_over();
}

bool has(const std::vector<std::string>& digests, const std::string& one) {
  return std::ranges::find(digests, one) != digests.end();
}
bool is_of(const model::OwnLayers& own, const std::string& digest) {
  return has(own.root, digest) || has(own.scratch, digest);
}

// What becomes of something that was done in its sandbox of that attempt, without a checkpoint.
bool is_gone(const LiveRun& live, std::uint32_t attempt) {
  return live.run.attempt != attempt || live.hibernates() || live.is_over();
}

Result<> left_by(const LiveRun& live, std::uint32_t attempt) {
  if (live.checkpointing.whole_attempt == attempt) return ok();
  if (live.run.attempt == attempt && live.kill_wanted)
    return Error{Errc::conflict, fmt::format("session {} is ending", live.run.id)};
  return Error{Errc::conflict,
               fmt::format("the sandbox of session {} was lost before it was kept", live.run.id)};
}

}  // namespace

Result<model::Run> Checkpoints::make(const std::string& id, const fiber::Context& ctx) {
  const auto live = TRY(live_session(runs_, id, ctx));
  if (live->hibernates()) return live->run;
  if (live->run.checkpoint.own && !live->may_have_changed()) return live->run;
  const InUse use(live);
  TRY(hold(live, live->run.attempt, ctx));
  return live->run;
}

Result<> Checkpoints::hold(const std::shared_ptr<LiveRun>& live, std::uint32_t attempt,
                           const fiber::Context& ctx) {
  Checkpointing& state = live->checkpointing;
  // One that is just going to sleep may hold it, or stays awake.
  TRY(live->changed.wait_until([&] { return !live->falling_asleep; }, ctx));
  if (is_gone(*live, attempt)) return left_by(*live, attempt);
  const std::uint64_t ticket = ++state.asked;
  work(live);
  TRY(live->changed.wait_until(
      [&] { return state.kept >= ticket || state.tried >= ticket || is_gone(*live, attempt); },
      ctx));
  // It may be kept by what makes it go.
  TRY(live->changed.wait_until([&] { return !live->falling_asleep; }, ctx));
  if (state.kept >= ticket) return ok();
  return is_gone(*live, attempt) ? left_by(*live, attempt) : Result<>(state.failure);
}

void Checkpoints::look_at(const std::shared_ptr<LiveRun>& live) {
  Checkpointing& state = live->checkpointing;
  const std::uint64_t interval_ms = live->run.request.checkpoint_interval_ms;
  if (interval_ms == 0 || state.at_work || !is_awake(*live) || !live->may_have_changed()) return;
  if (fiber::Clock::now() - state.last < std::chrono::milliseconds(interval_ms)) return;
  ++state.asked;
  work(live);
}

void Checkpoints::work(const std::shared_ptr<LiveRun>& live) {
  if (std::exchange(live->checkpointing.at_work, true)) return;
  tasks_.spawn([this, live](const fiber::Context& ctx) {
    Checkpointing& state = live->checkpointing;
    while (!ctx.cancelled() && state.asked > std::max(state.kept, state.tried)) {
      std::uint64_t covers = state.asked;
      auto made = make_one(*live, covers, ctx);
      if (ctx.cancelled()) break;
      if (!made) {
        state.failure = made.error();
        record_failure(*live, made.error());
      }
      state.tried = std::max(state.tried, covers);
      state.last = fiber::Clock::now();
      live->changed.notify_all();
      fiber::yield();  // whoever waited for it is next
    }
    state.at_work = false;
  });
}

// `covers`: the last ticket that it answers.
Result<> Checkpoints::make_one(LiveRun& live, std::uint64_t& covers, const fiber::Context& ctx) {
  Checkpointing& state = live.checkpointing;
  // No sweep has to wait for what this waits for.
  const auto may_stop = [&] { return !live.is_going() && !live.swapping && live.keeping == 0; };
  LayerGate::Scope publishing;  // until it is recorded
  do {
    publishing = {};
    TRY(live.changed.wait_until(may_stop, ctx));
    publishing = TRY(deps_.layers.publish(ctx));
  } while (!may_stop());
  const Error not_awake{Errc::conflict, live.run.id + " has ended, or gone to sleep, meanwhile"};
  if (!is_awake(live)) return not_awake;
  const std::uint64_t at_ms = deps_.clock.wall_ms();
  auto upper = TRY(StandingUpper::stop(live, deps_, ctx));
  if (live.is_over()) return not_awake;  // what is read of it now it may have ended in the midst of
  covers = state.asked;
  const std::uint64_t changes = state.changes;
  const bool has_background = upper.processes() > 1;
  auto own = TRY(upper.own_layers(KeptFor::checkpoint, ctx));
  TRY(record(live, std::move(own), at_ms));
  state.kept = covers;
  state.kept_changes = changes;
  state.has_background = has_background;
  return ok();
}

Result<> Checkpoints::record(LiveRun& live, model::OwnLayers own, std::uint64_t at_ms) {
  const model::Checkpoint before = live.run.checkpoint;
  if (before.own == own && before.fault.empty()) return ok();
  auto event = event_at(model::RunEventType::checkpointed, at_ms);
  event.own = std::move(own);
  std::set<std::string>& tidied = live.checkpointing.tidied;
  std::ranges::copy_if(before.replaced, std::back_inserter(event.replaced),
                       [&](const std::string& digest) { return !tidied.contains(digest); });
  if (before.own) model::add_replaced(event.replaced, *before.own, event.own);
  const auto listed = event.replaced.end() - std::min(std::ssize(event.replaced), kMostListed);
  const std::vector<std::string> unlisted(event.replaced.begin(), listed);
  event.replaced.erase(event.replaced.begin(), listed);
  auto appended = TRY(deps_.records.run(
      [&](runs::Store& store) { return store.append_event(kTenant, live.run.id, event); }));
  if (live.run.state == model::RunState::running) live.run = std::move(appended.run);
  // None of them is on the list any more, but for one that was made again.
  tidied.clear();
  remember(unlisted);
  return ok();
}

void Checkpoints::remember(const std::vector<std::string>& unlisted) {
  unlisted_.insert(unlisted.begin(), unlisted.end());
  const bool too_many = unlisted_.size() > kMostUnlisted;
  if (too_many && !std::exchange(too_many_told_, true))
    deps_.log.warning(
        "more layers of old checkpoints than can be remembered: some stay until "
        "`tare env gc`",
        {{"layers", unlisted_.size()}});
  while (unlisted_.size() > kMostUnlisted) unlisted_.erase(unlisted_.begin());
}

// Told once, and shown until one can be made again.
void Checkpoints::record_failure(LiveRun& live, const Error& why) {
  const std::string message = runs::one_line(why.message);
  if (!is_awake(live) || live.run.checkpoint.fault == message) return;
  deps_.log.warning("a checkpoint could not be made", {{"run", live.run.id}, {"error", message}});
  const auto event = event_at(model::RunEventType::checkpoint_failed, deps_.clock.wall_ms(),
                              message);
  auto appended = deps_.records.run(
      [&](runs::Store& store) { return store.append_event(kTenant, live.run.id, event); });
  if (appended && live.run.state == model::RunState::running) live.run = std::move(appended->run);
}

// ---- those that others have taken the place of

std::vector<std::string> Checkpoints::replaced() const {
  std::vector<std::string> digests(unlisted_.begin(), unlisted_.end());
  for (const auto& live : runs_.sessions()) {
    for (const std::string& digest : live->run.checkpoint.replaced) {
      if (!live->checkpointing.tidied.contains(digest)) digests.push_back(digest);
    }
  }
  return digests;
}

void Checkpoints::tidy() {
  if (tidying_ || !runs_.recovered()) return;
  const auto now = fiber::Clock::now();
  std::vector<std::string> digests = replaced();
  if (digests.empty()) tidied_at_ = now;
  const bool at_once = digests.size() >= kManyReplaced && !tidy_failed_;
  if (digests.empty() || (!at_once && now - tidied_at_ < kReplacedPatience)) return;
  if (digests.size() > kMostRemoved) digests.resize(kMostRemoved);
  tidying_ = true;
  tasks_.spawn([this, digests](const fiber::Context& ctx) {
    auto removed = remove_replaced(digests, ctx);
    tidy_failed_ = !removed;
    if (!removed && !ctx.cancelled())
      deps_.log.info("layers of old checkpoints stay for now",
                     {{"error", removed.error().message}});
    tidied_at_ = fiber::Clock::now();
    tidying_ = false;
  });
}

Result<> Checkpoints::remove_replaced(const std::vector<std::string>& digests,
                                      const fiber::Context& ctx) {
  LayerSweep sweep = layer_sweep(deps_, runs_);
  sweep.kind = LayerGate::Sweep::quiet;
  sweep.list = [&](const fiber::Context&) -> Result<std::vector<snapshot::LayerInfo>> {
    std::vector<snapshot::LayerInfo> layers;
    for (const std::string& digest : digests) layers.push_back({digest, 0, 0});
    return layers;
  };
  TRY(sweep_layers(sweep, false, ctx));
  for (const std::string& digest : digests) unlisted_.erase(digest);
  too_many_told_ = too_many_told_ && !unlisted_.empty();
  for (const auto& live : runs_.sessions()) {
    for (const std::string& digest : live->run.checkpoint.replaced) {
      const auto& own = live->run.checkpoint.own;
      if (has(digests, digest) && !(own && is_of(*own, digest)))  // made again: it stayed
        live->checkpointing.tidied.insert(digest);
    }
  }
  return ok();
}

}  // namespace tare::host
