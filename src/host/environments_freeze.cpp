// Environments: freezing what a live session has changed.
#include <optional>

#include <fmt/format.h>

#include "base/text.h"
#include "host/environments.h"
#include "host/held_session.h"
#include "host/standing_upper.h"

namespace tare::host {

namespace {

// The flat layers of what it was made upon stand for its lowest ones, too; unless it has its own.
Result<std::optional<model::FlatLayers>> flat_below(runs::Store& store,
                                                    const model::Environment& environment,
                                                    const std::string& base) {
  const auto all = TRY(store.flat_layers(kTenant));
  const auto below = all.find(base);
  if (all.contains(environment.digest) || below == all.end() ||
      !below->second.stands_in(environment.layers))
    return std::optional<model::FlatLayers>();
  model::FlatLayers flat = below->second;
  flat.older.clear();
  return std::optional(std::move(flat));
}

std::vector<std::string> stands_on(const LiveRun& live) {
  auto layers = layers_of(live.run.request);
  layers.insert(layers.end(), live.run.own.root.begin(), live.run.own.root.end());
  return layers;
}

}  // namespace

Result<std::shared_ptr<LiveRun>> Environments::freezable(const std::string& session) {
  const auto live = runs_.live(session);
  if (live && live->is_held()) return is_held_error(*live);
  if (!live || !(live->started || live->hibernates())) {
    const auto run = TRY(runs_.get(session));
    return Error{Errc::conflict,
                 fmt::format("{} is not running ({}): `tare session list` shows those that are",
                             session, model::to_string(run.state))};
  }
  if (live->is_over())
    return Error{
        Errc::conflict,
        fmt::format("{} is ending: freeze one that lives, see `tare session list`", session)};
  if (live->purpose != Purpose::run)
    return Error{Errc::denied,
                 "this run builds an environment, and is no session: wait for its end"};
  if (live->is_going())
    return Error{Errc::conflict, session + " is being hibernated: try again in a moment"};
  if (!live->run.request.environment_digest.empty()) return live;
  return Error{Errc::conflict,
               fmt::format("{} stands on `host`, which is not frozen itself: start a session with "
                           "--env ENV, and change that",
                           session)};
}

// Nullopt when it sleeps. It may have gone to sleep, and have been woken, since it was looked at.
Result<std::optional<StandingUpper>> Environments::stop_if_awake(
    const std::shared_ptr<LiveRun>& live, const fiber::Context& ctx) {
  const auto settled = [&] {
    return live->is_over() || (!live->is_going() && (live->started || live->hibernates()));
  };
  for (;;) {
    TRY(live->changed.wait_until(settled, ctx));
    TRY(freezable(live->run.id));
    if (live->hibernates()) return std::optional<StandingUpper>();
    auto upper = StandingUpper::stop(*live, deps_, ctx);
    if (upper) return std::optional(std::move(*upper));
    if (!live->is_going() && !live->hibernates()) return std::move(upper).error();
    TRY(ctx.check());
  }
}

Result<model::Environment> Environments::freeze(const std::string& session, const std::string& name,
                                                const fiber::Context& ctx) {
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until it is recorded
  TRY(check_environment_name(name));
  TRY(deps_.records.run([&](runs::Store& store) { return refuse_if_taken(store, name); }));
  const auto live = TRY(freezable(session));
  const InUse use(live);
  const model::RunRequest& request = live->run.request;
  model::Environment environment;
  environment.tenant = kTenant;
  environment.name = name;
  environment.config = TRY(config_of(request.environment_digest, request.environment_layers));
  // What it stands on: before it has to stand still for that.
  const auto searched = stands_on(*live);
  TRY(refuse_secrets(deps_.secrets, deps_.store, searched, environment.config, ctx));
  auto upper = TRY(stop_if_awake(live, ctx));
  environment.layers = stands_on(*live);  // nothing has yielded since it stood still, or slept
  if (environment.layers != searched)
    TRY(refuse_secrets(deps_.secrets, deps_.store, environment.layers, environment.config, ctx));
  snapshot::Imported imported;  // nothing of one that sleeps: what it has changed is its own layers
  if (upper) imported = TRY(upper->freeze(UpperPart::environment, ctx));
  upper.reset();
  if (imported.layer.entries > 0) environment.layers.push_back(imported.layer.digest);
  environment.layers = model::unrepeated(environment.layers);
  environment.digest = model::digest_of_environment(environment.layers, environment.config);
  environment.source = "freeze:" + session;
  environment.created_ms = deps_.clock.wall_ms();
  environment.size_bytes = imported.layer.bytes;
  environment.files = imported.layer.entries;
  if (const auto base = find(request.environment_digest)) {
    environment.size_bytes += base->size_bytes;
    environment.files += base->files;
  }
  std::optional<model::FlatLayers> flat;
  TRY(deps_.records.run([&](runs::Store& store) -> Result<> {
    TRY(refuse_if_taken(store, name));  // somebody may have taken the name meanwhile
    TRY(store.put_environment(environment));
    flat = TRY(flat_below(store, environment, request.environment_digest));
    return flat ? store.put_flat_layers(kTenant, environment.digest, *flat) : ok();
  }));
  if (flat) {
    deps_.flat.learn(environment.digest, *flat);
    environment = model::with_flat(std::move(environment), *flat);
  }
  deps_.flat.notice();
  return environment;
}

}  // namespace tare::host
