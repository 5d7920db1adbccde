// Environments: freezing what a live session has changed.
#include <fmt/format.h>

#include "base/text.h"
#include "host/environments.h"
#include "sandbox/plan/plan.h"
#include "snapshot/client.h"

namespace tare::host {

namespace {

constexpr std::uint64_t kFreezeTimeoutMs = 10 * 60 * 1000;
constexpr std::uint64_t kMaxFrozenEntries = 2'000'000;
constexpr std::uint64_t kMaxFrozenFileBytes = std::uint64_t{1} << 40;  // holes included

// What the platform puts in place for each run, and what is no part of an environment: what is
// mounted, and what the Filesystem Hierarchy Standard calls transient.
std::vector<std::string> not_frozen() {
  return {"dev",  "etc/hostname", "etc/hosts", "input", "output",
          "proc", "run",          "sys",       "tmp",   "var/tmp"};
}

Result<> refuse_if_taken(runs::Store& store, const std::string& name) {
  const auto there = store.get_environment(kTenant, name);
  if (!there && there.error().code != Errc::not_found) return there.error();
  if (!there || there->state == model::EnvironmentState::failed) return ok();
  return Error{Errc::conflict,
               fmt::format("environment {} is there already: choose another name", quote(name)), 0,
               "name"};
}

}  // namespace

Result<snapshot::Imported> Environments::freeze_upper(const LiveRun& live,
                                                      const fiber::Context& ctx) {
  const model::RunRequest& request = live.run.request;
  auto stopped = deps_.launcher.stop(live.run.id, ctx);
  if (!stopped && stopped.error().code != Errc::conflict) runs_.go_on(live.run.id);
  const StandingSandbox standing = TRY(std::move(stopped));
  snapshot::Freeze wanted;
  wanted.layers = deps_.flat.mounted(request);  // they show the same
  wanted.owner_base = standing.uid_base;
  wanted.owner_count = sandbox::kIdRange;
  wanted.without = not_frozen();
  wanted.limits = {.max_entries = kMaxFrozenEntries,
                   .max_bytes = request.limits.disk_bytes,
                   .max_file_bytes = kMaxFrozenFileBytes};
  wanted.timeout_ms = kFreezeTimeoutMs;
  const sys::UniqueFd secrets = TRY(secrets_file(deps_.secrets));
  const int fds[] = {standing.upper.get(), standing.opaque.get(), secrets.get()};
  auto frozen = snapshot::expect<snapshot::Imported>(deps_.store.call(wanted, fds, ctx));
  runs_.go_on(live.run.id);
  // One that was killed meanwhile has not stood still.
  if (frozen && (live.ended || live.lost || live.kill_wanted || live.ended_durably()))
    return Error{Errc::conflict, fmt::format("{} ended while it was frozen", live.run.id)};
  return frozen;
}

Result<model::Environment> Environments::freeze(const std::string& session, const std::string& name,
                                                const fiber::Context& ctx) {
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until it is recorded
  TRY(check_environment_name(name));
  TRY(deps_.records.run([&](runs::Store& store) { return refuse_if_taken(store, name); }));
  const auto live = runs_.live(session);
  if (!live || !live->started) {
    const auto run = TRY(runs_.get(session));
    return Error{Errc::conflict,
                 fmt::format("{} is not running ({})", session, model::to_string(run.state))};
  }
  const model::RunRequest& request = live->run.request;
  if (live->purpose == Purpose::build) return Error{Errc::denied, "this run builds an environment"};
  if (request.environment_digest.empty()) {
    return Error{
        Errc::conflict,
        fmt::format("{} stands on `host`, which is not frozen itself: start a session with "
                    "--env ENV, and change that",
                    session)};
  }
  model::Environment environment;
  environment.tenant = kTenant;
  environment.name = name;
  environment.layers = layers_of(request);
  const auto imported = TRY(freeze_upper(*live, ctx));
  if (imported.layer.entries > 0) environment.layers.push_back(imported.layer.digest);
  environment.digest = model::digest_of_layers(environment.layers);
  environment.source = "freeze:" + session;
  environment.created_ms = deps_.clock.wall_ms();
  environment.size_bytes = imported.layer.bytes;
  environment.files = imported.layer.entries;
  if (const auto base = find(request.environment_digest)) {
    environment.size_bytes += base->size_bytes;
    environment.files += base->files;
    environment.reproducible = base->reproducible && imported.layer.entries == 0;
    if (base->layers == request.environment_layers) {
      environment.flat = base->flat;
      environment.flat_depth = base->flat_depth;
    }
  }
  // Somebody may have taken the name meanwhile.
  TRY(deps_.records.run([&](runs::Store& store) -> Result<> {
    TRY(refuse_if_taken(store, name));
    return store.put_environment(environment);
  }));
  deps_.flat.learn(environment);
  deps_.flat.notice();
  return environment;
}

}  // namespace tare::host
