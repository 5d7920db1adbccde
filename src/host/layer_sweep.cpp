#include "host/layer_sweep.h"

namespace tare::host {

namespace {

Result<> remove_layer(StoreLink& store, const std::string& digest, const fiber::Context& ctx) {
  auto removed = snapshot::expect<snapshot::Done>(
      store.call(snapshot::RemoveLayer{digest}, {}, ctx));
  if (removed || removed.error().code == Errc::not_found) return ok();
  return std::move(removed).error();
}

Result<> leave_out_needed(std::vector<snapshot::LayerInfo>& layers, const LayerSweep& sweep) {
  const NamedLayers named = TRY(sweep.named());
  std::erase_if(layers, [&](const auto& layer) {
    return named.contains(layer.digest) || sweep.gate.is_leased(layer.digest);
  });
  return ok();
}

}  // namespace

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

LayerSweep layer_sweep(const RunDeps& deps, RunService& runs) {
  return {.gate = deps.layers,
          .list = [&deps](const fiber::Context& ctx) { return list_layers(deps.store, ctx); },
          .named = [&deps, &runs] { return named_layers(deps, runs); },
          .forget = [&deps, &runs] { return forget_flat_layers(deps, runs); },
          .remove =
              [&deps](const std::string& digest, const fiber::Context& ctx) {
                deps.log.info("removing a layer", {{"layer", digest}});
                return remove_layer(deps.store, digest, ctx);
              }};
}

Result<SweptLayers> sweep_layers(const LayerSweep& sweep, bool dry_run, const fiber::Context& ctx) {
  const auto alone = TRY(sweep.gate.sweep(ctx, sweep.kind));
  SweptLayers swept;
  auto layers = TRY(sweep.list(ctx));
  const std::size_t all = layers.size();
  TRY(leave_out_needed(layers, sweep));
  TRY(sweep.gate.readers_gone(ctx, sweep.kind));
  TRY(leave_out_needed(layers, sweep));
  swept.kept = all - layers.size();
  if (!dry_run) {
    TRY(sweep.forget());
    for (const snapshot::LayerInfo& layer : layers) TRY(sweep.remove(layer.digest, ctx));
  }
  swept.removed = std::move(layers);
  return swept;
}

}  // namespace tare::host
