// Removing the layers that nothing needs: what nobody names (named_layers.h). Safe while runs start
// and builds finish (layer_gate.h):
//
//   nobody stores a layer meanwhile (one that was there unused could be what it got as its answer)
//   list of all layers, less what is needed now      what is left nobody can come upon any more
//   wait until all have ended who had a name before  they may have come upon it earlier
//   less what is needed now                          it would be on record, or leased, by now
//   forget what is mounted for digests               else their next name would have it mounted
//     that nobody has any more
//   remove
//
// Owner: one request, on its fiber. Loop thread only. Errors: Errc::conflict (LayerGate); those of
// the store and the database, and then nothing more is removed. What never happens: a layer is
// removed because a record could not be read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/layer_gate.h"
#include "host/named_layers.h"
#include "snapshot/protocol.h"

namespace tare::host {

// What the sweep works with.
struct LayerSweep {
  LayerGate& gate;
  std::function<Result<std::vector<snapshot::LayerInfo>>(const fiber::Context&)> list;
  std::function<Result<NamedLayers>()> named;
  std::function<Result<>()> forget;
  std::function<Result<>(const std::string& digest, const fiber::Context&)> remove;
  LayerGate::Sweep kind = LayerGate::Sweep::asked;
};
LayerSweep layer_sweep(const RunDeps& deps, RunService& runs);

// All that the store has, in order.
Result<std::vector<snapshot::LayerInfo>> list_layers(StoreLink& store, const fiber::Context& ctx);

struct SweptLayers {
  std::vector<snapshot::LayerInfo> removed;  // or, of a dry run, what would be
  std::uint64_t kept = 0;
};
Result<SweptLayers> sweep_layers(const LayerSweep& sweep, bool dry_run, const fiber::Context& ctx);

}  // namespace tare::host
