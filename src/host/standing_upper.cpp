#include "host/standing_upper.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/limits.h"
#include "fiber/task_group.h"
#include "host/flat_chains.h"
#include "sandbox/plan/plan.h"
#include "snapshot/client.h"

namespace tare::host {

namespace {

constexpr fiber::Duration kWritePatience = std::chrono::seconds(1);
constexpr std::uint64_t kFreezeTimeoutMs = 10 * 60 * 1000;
constexpr std::size_t kMaxOwnLayers = 6;  // of each part; more are made one
// Sandboxes that are lost, one after the other, leave a layer each.
constexpr std::size_t kMaxCheckpointLayers = 2 * kMaxOwnLayers;
// So often all of them: what was removed goes from the disk, too.
constexpr std::uint32_t kWholeEvery = 32;
constexpr std::uint64_t kEntryCostBytes = 1024;  // of a copy, beside its content
constexpr std::uint64_t kMaxFrozenEntries = 2'000'000;
constexpr std::uint64_t kMaxFrozenFileBytes = std::uint64_t{1} << 40;  // holes included

// What the platform puts in place for each run, and what is no part of an environment: what is
// mounted, what makes a machine another one than its copy, and what the Filesystem Hierarchy
// Standard calls transient.
std::vector<std::string> not_kept() {
  return {"dev",
          "etc/hostname",
          "etc/hosts",
          "etc/machine-id",
          "input",
          "output",
          "proc",
          "run",
          "sys",
          "tmp",
          "var/lib/dbus/machine-id",
          "var/lib/systemd/random-seed",
          "var/lib/urandom/random-seed",
          "var/tmp"};
}
std::vector<std::string> scratch() { return {"output", "tmp", "var/tmp"}; }

Error too_often(const std::string& run) {
  return Error{
      Errc::exhausted,
      fmt::format("{} would stand on more than {} layers, the most there can be: try again "
                  "when those of its environment have been made flat",
                  run, kMaxLayers - 1)};
}

// From which on the layers of many nights are made one: what is copied is in proportion to what the
// last nights have changed, however much the first ones did.
Result<std::size_t> flat_from(const std::vector<std::string>& own, const RunDeps& deps,
                              const fiber::Context& ctx) {
  std::size_t from = own.size();
  std::uint64_t copied = 0;
  while (from > 0) {
    const auto layer = TRY(snapshot::expect<snapshot::LayerInfo>(
        deps.store.call(snapshot::StatLayer{own[from - 1]}, {}, ctx)));
    const std::uint64_t cost = layer.bytes + layer.entries * kEntryCostBytes;
    if (own.size() - from >= 2 && cost > 2 * copied) break;
    copied += cost;
    --from;
  }
  return from;
}

// Of many nights one layer, which shows the same on what is below: layers, or the tree `base`, and
// the first `from` of its own. `without`: nothing of what is there.
Result<> make_flat(std::vector<std::string>& own, std::size_t from,
                   const std::vector<std::string>& below, int base,
                   std::vector<std::string> without, const RunDeps& deps,
                   const fiber::Context& ctx) {
  snapshot::Flatten wanted;
  wanted.layers = below;
  wanted.without = std::move(without);
  wanted.over_base = base >= 0;
  wanted.layers.insert(wanted.layers.end(), own.begin(), own.end());
  wanted.kept = static_cast<std::uint32_t>(below.size() + from);
  wanted.limits = {.max_entries = kMaxFrozenEntries,
                   .max_bytes = kMaxFrozenFileBytes,
                   .max_file_bytes = kMaxFrozenFileBytes};
  wanted.timeout_ms = kFreezeTimeoutMs;
  const std::span<const int> fds(&base, base >= 0 ? 1 : 0);
  const auto flat = TRY(snapshot::expect<snapshot::Imported>(deps.store.call(wanted, fds, ctx)));
  own.resize(from);
  if (flat.layer.entries > 0) own.push_back(flat.layer.digest);
  return ok();
}

}  // namespace

Result<StandingUpper> StandingUpper::stop(LiveRun& live, const RunDeps& deps,
                                          const fiber::Context& ctx) {
  // Nor while its runner is exchanged: the launcher refuses it then. (Not before the exchange does
  // a swap look whether it goes to sleep, or has ended; it then leaves it alone, or waits for
  // that.)
  const auto may_stand = [&] {
    return live.keeping == 0 && (!live.swapping || live.is_going() || live.is_over());
  };
  TRY(live.changed.wait_until(may_stand, ctx));
  if (live.hibernates())
    return Error{Errc::conflict, fmt::format("{} has gone to sleep meanwhile", live.run.id)};
  Counted alone(live, &LiveRun::keeping);
  Counted counted(live, &LiveRun::standing);
  // A file that is just being put in place may stand there under two names for a moment. One that
  // is held up inside is not waited for.
  auto written = live.changed.wait_until([&] { return live.writes == 0 || live.is_over(); },
                                         ctx.with_timeout(kWritePatience));
  if (!written && written.error().code != Errc::timeout) return std::move(written).error();
  TRY(ctx.check());
  auto stopped = deps.launcher.stop(live.run.id, ctx);
  if (!stopped && stopped.error().code != Errc::conflict) deps.launcher.go_on(live.run.id);
  return StandingUpper(live, deps, std::move(alone), std::move(counted), TRY(std::move(stopped)));
}

StandingUpper::~StandingUpper() {
  if (live_ != nullptr) go_on();
}

void StandingUpper::go_on() {
  if (goes_on_) deps_->launcher.go_on(live_->run.id);
  goes_on_ = false;
  counted_ = {};
}

// What the last checkpoint of this sandbox has of that part.
std::string StandingUpper::since(UpperPart part) const {
  const model::Run& run = live_->run;
  if (!run.checkpoint.own) return {};
  const auto list = part == UpperPart::environment ? &model::OwnLayers::root
                                                   : &model::OwnLayers::scratch;
  const auto& kept = *run.checkpoint.own.*list;
  const auto& below = run.own.*list;
  const bool its_own = !kept.empty() && std::ranges::find(below, kept.back()) == below.end();
  return its_own ? kept.back() : std::string();
}

Result<snapshot::Imported> StandingUpper::freeze(UpperPart part, const fiber::Context& ctx) const {
  return freeze(part, "", nullptr, ctx);
}

Result<snapshot::Imported> StandingUpper::freeze(UpperPart part, const std::string& since,
                                                 const StoreLink::OnProgress& on_progress,
                                                 const fiber::Context& ctx) const {
  const model::RunRequest& request = live_->run.request;
  snapshot::Freeze wanted;
  wanted.layers = deps_->flat.mounted(live_->run);  // they show the same
  wanted.over_base = standing_.base.valid();
  wanted.since = since;
  wanted.owner_base = standing_.uid_base;
  wanted.owner_count = sandbox::kIdRange;
  if (part == UpperPart::environment) {
    wanted.without = not_kept();
  } else {
    wanted.only = scratch();
  }
  // What commands were shown of the host's network is not theirs.
  if (live_->purpose != Purpose::run) wanted.without.emplace_back("etc/resolv.conf");
  wanted.limits = {.max_entries = kMaxFrozenEntries,
                   .max_bytes = request.limits.disk_bytes,
                   .max_file_bytes = kMaxFrozenFileBytes};
  wanted.timeout_ms = kFreezeTimeoutMs;
  const sys::UniqueFd secrets = TRY(deps_->secrets.file());
  std::vector<int> fds = {standing_.upper.get(), standing_.opaque.get(), secrets.get()};
  if (wanted.over_base) fds.push_back(standing_.base.get());
  const bool was_there = !live_->is_over();
  auto frozen = snapshot::expect<snapshot::Imported>(
      deps_->store.call(wanted, fds, ctx, on_progress));
  // One that was killed meanwhile has not stood still.
  if (frozen && was_there && live_->is_over())
    return Error{Errc::conflict, fmt::format("{} ended while it was frozen", live_->run.id)};
  return frozen;
}

Result<std::array<snapshot::Imported, 2>> StandingUpper::freeze_both(KeptFor kept_for,
                                                                     const fiber::Context& ctx) {
  const bool checkpoint = kept_for == KeptFor::checkpoint;
  std::array<Result<snapshot::Imported>, 2> frozen = {Error{}, Error{}};
  std::array<bool, 2> copied = {};
  {
    fiber::TaskGroup group(ctx);
    for (const auto part : {UpperPart::environment, UpperPart::scratch}) {
      group.spawn([&, part](const fiber::Context& task) {
        const auto index = static_cast<std::size_t>(part);
        const auto on_progress = [&, index](const snapshot::Progress& progress) {
          copied[index] = copied[index] || progress.hashing;
          if (checkpoint && copied[0] && copied[1]) go_on();
        };
        // Only then: how many names a file has can be seen, and the layer before is soon gone.
        frozen[index] = freeze(part, checkpoint ? since(part) : "", on_progress, task);
      });
    }
    group.join();
  }
  return std::array<snapshot::Imported, 2>{TRY(std::move(frozen[0])), TRY(std::move(frozen[1]))};
}

Result<model::OwnLayers> StandingUpper::own_layers(KeptFor kept_for, const fiber::Context& ctx) {
  const bool night = kept_for == KeptFor::night;
  const std::size_t most = night ? kMaxOwnLayers : kMaxCheckpointLayers;
  model::OwnLayers own = live_->run.own;
  auto both = TRY(freeze_both(kept_for, ctx));
  for (const auto& [part, list] : {std::pair(UpperPart::environment, &own.root),
                                   std::pair(UpperPart::scratch, &own.scratch)}) {
    snapshot::Imported& frozen = both[static_cast<std::size_t>(part)];
    if (frozen.layer.entries > 0) list->push_back(frozen.layer.digest);
    *list = model::unrepeated(*list);
    // The scratch layers lie above the others: where a folder on their way is none any more, what
    // they have there would hide what it has become.
    const bool all = !frozen.cut.empty() || (night && live_->run.attempt % kWholeEvery == 0);
    if (list->empty() || (!all && list->size() <= most)) continue;
    const std::size_t from = all ? 0 : TRY(flat_from(*list, *deps_, ctx));
    TRY(make_flat(*list, from, deps_->flat.mounted(live_->run.request), standing_.base.get(),
                  std::move(frozen.cut), *deps_, ctx));
    *list = model::unrepeated(*list);
  }
  const std::size_t below = deps_->flat.mounted(live_->run.request).size();
  if (below + own.root.size() + own.scratch.size() >= kMaxLayers) return too_often(live_->run.id);
  return own;
}

}  // namespace tare::host
