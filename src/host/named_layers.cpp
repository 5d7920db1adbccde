#include "host/named_layers.h"

#include <fmt/format.h>

#include "host/spec.h"

namespace tare::host {

namespace {

using model::Environment;

void add(NamedLayers& named, const std::string& digest, const Owner& owner) {
  if (!digest.empty()) named[digest].insert(owner);
}

// What the owner only stands on.
void add_if_unnamed(NamedLayers& named, const std::string& digest, const Owner& owner) {
  const auto known = named.find(digest);
  if (known == named.end()) return add(named, digest, owner);
  if (known->second.begin()->kind >= owner.kind) known->second.insert(owner);
}

// The digest of an environment with many layers is not a layer.
std::vector<std::string> layers_named_by(const std::string& digest,
                                         const std::vector<std::string>& layers) {
  return layers.empty() ? std::vector{digest} : layers;
}

// What may be mounted for it.
void add_flat(NamedLayers& named, const runs::FlatByDigest& flat, const std::string& digest,
              const Owner& owner) {
  const auto found = flat.find(digest);
  if (found == flat.end()) return;
  for (const auto* list : {&found->second.flat, &found->second.older}) {
    for (const std::string& layer : *list) add_if_unnamed(named, layer, owner);
  }
}

void add_environment(NamedLayers& named, const Environment& one, const runs::FlatByDigest& flat) {
  const Owner owner{Owner::Kind::environment, one.name};
  for (const std::string& layer : layers_named_by(one.digest, one.layers)) add(named, layer, owner);
  add_flat(named, flat, one.digest, owner);
}

void add_agent(NamedLayers& named, const model::Agent& agent, const runs::FlatByDigest& flat) {
  const Owner owner{Owner::Kind::agent, fmt::format("{}@{}", agent.name, agent.version)};
  add_flat(named, flat, agent.environment_digest, owner);
  add(named, agent.files_digest, owner);
  for (const std::string& layer :
       layers_named_by(agent.environment_digest, agent.environment_layers))
    add_if_unnamed(named, layer, owner);
}

}  // namespace

std::string Owner::text() const {
  switch (kind) {
    case Kind::environment: return "environment " + name;
    case Kind::runner: return "runner " + name;
    case Kind::agent: return "agent " + name;
    case Kind::session: return "session " + name;
    case Kind::run: return "run " + name;
  }
  return name;
}

Result<NamedLayers> recorded_layers(runs::Store& store, const runs::FlatByDigest& flat) {
  NamedLayers named;
  for (const Environment& one : TRY(store.list_environments(kTenant)))
    add_environment(named, one, flat);
  for (const model::Runner& runner : TRY(store.list_runners(kTenant)))
    add(named, runner.digest, Owner{Owner::Kind::runner, runner.reference()});
  TRY(store.each_agent_version(kTenant, [&](const model::Agent& agent) -> Result<> {
    add_agent(named, agent, flat);
    return ok();
  }));
  return named;
}

void add_layers_of(const LiveRun& live, const runs::FlatByDigest& flat, NamedLayers& named) {
  const Owner owner{live.run.request.session ? Owner::Kind::session : Owner::Kind::run,
                    live.run.id};
  for (const model::OwnLayers* own : {&live.run.own, &model::wakes_with(live.run)}) {
    for (const auto* list : {&own->root, &own->scratch}) {
      for (const std::string& layer : *list) add(named, layer, owner);
    }
  }
  for (const std::string& layer : layers_of(live.run)) add_if_unnamed(named, layer, owner);
  add_flat(named, flat, live.run.request.environment_digest, owner);
  add_if_unnamed(named, live.run.request.runner_digest, owner);
  if (!live.runner) return;
  add_if_unnamed(named, live.runner->digest, owner);
  add_if_unnamed(named, live.runner->before_digest, owner);
}

Result<NamedLayers> named_layers(const RunDeps& deps, const RunService& runs) {
  runs::FlatByDigest flat;
  NamedLayers named = TRY(deps.records.run([&](runs::Store& store) -> Result<NamedLayers> {
    flat = TRY(store.flat_layers(kTenant));
    return recorded_layers(store, flat);
  }));
  for (const auto& live : runs.unended()) add_layers_of(*live, flat, named);
  return named;
}

Result<> forget_flat_layers(const RunDeps& deps, const RunService& runs) {
  std::set<std::string, std::less<>> needed;
  for (const auto& live : runs.unended()) needed.insert(live->run.request.environment_digest);
  const auto forget = [&](runs::Store& store) -> Result<std::vector<std::string>> {
    std::vector<std::string> gone;
    for (const Environment& one : TRY(store.list_environments(kTenant))) needed.insert(one.digest);
    TRY(store.each_agent_version(kTenant, [&](const model::Agent& agent) {
      needed.insert(agent.environment_digest);
      return ok();
    }));
    for (const auto& [digest, flat] : TRY(store.flat_layers(kTenant))) {
      if (needed.contains(digest)) continue;
      TRY(store.delete_flat_layers(kTenant, digest));
      gone.push_back(digest);
    }
    return gone;
  };
  for (const std::string& digest : TRY(deps.records.run(forget))) deps.flat.forget(digest);
  return ok();
}

std::string how_to_make_again(const Owner& owner) {
  switch (owner.kind) {
    case Owner::Kind::environment:
      return fmt::format(
          "make environment {} again as it was made (`tare env build --rebuild`, "
          "`import`, `pull`)",
          owner.name);
    case Owner::Kind::runner:
      return fmt::format("`tare runner add` the folder of {} again", owner.name);
    case Owner::Kind::agent:
      return fmt::format("`tare agent apply` the folder of {} again", owner.name);
    case Owner::Kind::session:
      return fmt::format("what it held is nowhere else: `tare session kill {}` gives it up",
                         owner.name);
    case Owner::Kind::run: return fmt::format("`tare kill {}` gives it up", owner.name);
  }
  return {};
}

}  // namespace tare::host
