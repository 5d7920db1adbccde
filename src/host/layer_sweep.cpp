#include "host/layer_sweep.h"

namespace tare::host {

namespace {

Result<std::vector<snapshot::LayerInfo>> list_layers(StoreLink& store, const fiber::Context& ctx) {
  std::vector<snapshot::LayerInfo> all;
  for (std::string after;;) {
    const auto page = TRY(
        snapshot::expect<snapshot::LayerPage>(store.call(snapshot::ListLayers{after}, {}, ctx)));
    all.insert(all.end(), page.layers.begin(), page.layers.end());
    if (!page.more || page.layers.empty()) return all;
    after = page.layers.back().digest;
  }
}

Result<> remove_layer(StoreLink& store, const std::string& digest, const fiber::Context& ctx) {
  auto removed = snapshot::expect<snapshot::Done>(
      store.call(snapshot::RemoveLayer{digest}, {}, ctx));
  if (removed || removed.error().code == Errc::not_found) return ok();
  return std::move(removed).error();
}

// Of all that is on record.
Result<LayerDigests> recorded_layers(runs::Store& store) {
  LayerDigests needed;
  for (const model::Environment& one : TRY(store.list_environments(kTenant))) {
    needed.insert(one.digest);
    needed.insert(one.layers.begin(), one.layers.end());
    needed.insert(one.flat.begin(), one.flat.end());
    needed.insert(one.flat_older.begin(), one.flat_older.end());
  }
  TRY(store.each_agent_version(kTenant, [&](const model::Agent& agent) -> Result<> {
    needed.insert(agent.environment_digest);
    needed.insert(agent.environment_layers.begin(), agent.environment_layers.end());
    needed.insert(agent.files_digest);
    return ok();
  }));
  for (const model::Runner& runner : TRY(store.list_runners(kTenant))) needed.insert(runner.digest);
  return needed;
}

void leave_out(std::vector<snapshot::LayerInfo>& layers, const LayerDigests& needed) {
  std::erase_if(layers, [&](const auto& layer) { return needed.contains(layer.digest); });
}

}  // namespace

LayerSweep layer_sweep(const RunDeps& deps, RunService& runs) {
  return {.gate = deps.layers,
          .list = [&deps](const fiber::Context& ctx) { return list_layers(deps.store, ctx); },
          .needed = [&deps, &runs]() -> Result<LayerDigests> {
            LayerDigests needed = TRY(deps.records.run(recorded_layers));
            needed.merge(runs.layers_in_use());
            return needed;
          },
          .remove =
              [&deps](const std::string& digest, const fiber::Context& ctx) {
                deps.log.info("removing a layer", {{"layer", digest}});
                return remove_layer(deps.store, digest, ctx);
              }};
}

Result<SweptLayers> sweep_layers(const LayerSweep& sweep, bool dry_run, const fiber::Context& ctx) {
  const auto alone = TRY(sweep.gate.sweep(ctx));
  SweptLayers swept;
  auto layers = TRY(sweep.list(ctx));
  const std::size_t all = layers.size();
  leave_out(layers, TRY(sweep.needed()));
  TRY(sweep.gate.readers_gone(ctx));
  leave_out(layers, TRY(sweep.needed()));
  swept.kept = all - layers.size();
  if (!dry_run) {
    for (const snapshot::LayerInfo& layer : layers) TRY(sweep.remove(layer.digest, ctx));
  }
  swept.removed = std::move(layers);
  return swept;
}

}  // namespace tare::host
