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

void add_environment(NamedLayers& named, const Environment& one) {
  const Owner owner{Owner::Kind::environment, one.name};
  for (const std::string& layer : layers_named_by(one.digest, one.layers)) add(named, layer, owner);
  for (const auto* list : {&one.flat, &one.flat_older}) {
    for (const std::string& layer : *list) add(named, layer, owner);
  }
}

void add_agent(NamedLayers& named, const model::Agent& agent) {
  const Owner owner{Owner::Kind::agent, fmt::format("{}@{}", agent.name, agent.version)};
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

Result<NamedLayers> recorded_layers(runs::Store& store) {
  NamedLayers named;
  for (const Environment& one : TRY(store.list_environments(kTenant))) add_environment(named, one);
  for (const model::Runner& runner : TRY(store.list_runners(kTenant)))
    add(named, runner.digest, Owner{Owner::Kind::runner, runner.reference()});
  TRY(store.each_agent_version(kTenant, [&](const model::Agent& agent) -> Result<> {
    add_agent(named, agent);
    return ok();
  }));
  return named;
}

void add_layers_of(const LiveRun& live, NamedLayers& named) {
  const Owner owner{live.run.request.session ? Owner::Kind::session : Owner::Kind::run,
                    live.run.id};
  for (const model::OwnLayers* own : {&live.run.own, &model::wakes_with(live.run)}) {
    for (const auto* list : {&own->root, &own->scratch}) {
      for (const std::string& layer : *list) add(named, layer, owner);
    }
  }
  for (const std::string& layer : layers_of(live.run)) add_if_unnamed(named, layer, owner);
  add_if_unnamed(named, live.run.request.runner_digest, owner);
  if (!live.runner) return;
  add_if_unnamed(named, live.runner->digest, owner);
  add_if_unnamed(named, live.runner->before_digest, owner);
}

Result<NamedLayers> named_layers(const RunDeps& deps, const RunService& runs) {
  NamedLayers named = TRY(deps.records.run(recorded_layers));
  for (const auto& live : runs.unended()) add_layers_of(*live, named);
  return named;
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
