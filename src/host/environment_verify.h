// Verifying an environment: the store computes each of its layers' digests again from what is on
// disk, and names the first thing that differs.
//
// Owner: one request, on its fiber. Loop thread only. Errors: Errc::invalid for `host`, which is
// not frozen; those of the store. A layer that is damaged or missing is a finding, not an error.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "fiber/context.h"
#include "host/known_secrets.h"
#include "host/store_link.h"
#include "model/environment.h"
#include "snapshot/protocol.h"

namespace tare::host {

struct Soundness {
  bool intact = true;
  bool clean = true;  // no secret was found
};

struct VerifyWatcher {
  // A layer's turn has come; its entries and bytes, 0 where they are not known.
  std::function<Result<>(const snapshot::LayerInfo&)> on_layer;
  std::function<void(const snapshot::Progress&)> on_progress;
  // `secret`: where one is, in words; "" for none, or when they are not asked for.
  std::function<Result<>(const std::string& digest, const snapshot::Verified&,
                         const std::string& secret)>
      on_verified;
};

// Why what is mounted for it does not show what its layers do; "" when it does, or when a layer is
// not as its digest says, which is found otherwise.
Result<std::string> fault_of_flat(const model::Environment& environment, StoreLink& store,
                                  const fiber::Context& ctx);

// Every layer is looked at, also after one with a fault. `secrets`: nullptr when they are not asked
// for; what is damaged is not searched.
Result<Soundness> verify_environment(const model::Environment& environment, StoreLink& store,
                                     const KnownSecrets* secrets, const VerifyWatcher& watcher,
                                     const fiber::Context& ctx);

}  // namespace tare::host
