#include "host/environment_verify.h"

#include <algorithm>

#include "host/environments.h"

namespace tare::host {

namespace {

Result<snapshot::Verified> verify_layer(const std::string& digest, StoreLink& store,
                                        const VerifyWatcher& watcher, const fiber::Context& ctx) {
  auto verified = snapshot::expect<snapshot::Verified>(
      store.call(snapshot::VerifyLayer{digest}, {}, ctx, watcher.on_progress));
  if (!verified && verified.error().code == Errc::not_found) {
    return snapshot::Verified{false, verified.error().message};
  }
  return verified;
}

}  // namespace

Result<Soundness> verify_environment(const model::Environment& environment, StoreLink& store,
                                     const KnownSecrets* secrets, const VerifyWatcher& watcher,
                                     const fiber::Context& ctx) {
  if (environment.state != model::EnvironmentState::ready || environment.layers.empty()) {
    return Error{Errc::invalid, no_layers(environment, "verify")};
  }
  Soundness found;
  const auto tell = [&](const std::string& digest, const snapshot::Verified& verified,
                        const std::string& secret) {
    found.intact = found.intact && verified.intact;
    found.clean = found.clean && secret.empty();
    return watcher.on_verified(digest, verified, secret);
  };
  const std::string said = secrets == nullptr ? ""
                                              : TRY(find_secret(*secrets, store, "",
                                                                environment.config, ctx, nullptr));
  snapshot::Verified list{true, ""};
  if (model::digest_of_environment(environment.layers, environment.config) != environment.digest)
    list = {false, "its layers are not those that the environment's digest names"};
  if (!list.intact || !said.empty()) {
    TRY(watcher.on_layer(snapshot::LayerInfo{environment.digest, 0, 0}));
    TRY(tell(environment.digest, list, said));
  }
  std::vector<std::string> layers = environment.layers;
  for (const std::string& digest : environment.flat)  // runs mount these, too
    if (std::ranges::find(layers, digest) == layers.end()) layers.push_back(digest);
  for (const std::string& digest : layers) {
    // Only for the progress: what is wrong with the layer is found below.
    auto size = snapshot::expect<snapshot::LayerInfo>(
        store.call(snapshot::StatLayer{digest}, {}, ctx));
    if (!size && size.error().code == Errc::unavailable) return std::move(size).error();
    TRY(watcher.on_layer(size ? *size : snapshot::LayerInfo{digest, 0, 0}));
    const auto verified = TRY(verify_layer(digest, store, watcher, ctx));
    std::string secret;
    if (secrets != nullptr && verified.intact)
      secret = TRY(find_secret(*secrets, store, digest, {}, ctx, watcher.on_progress));
    TRY(tell(digest, verified, secret));
  }
  return found;
}

}  // namespace tare::host
