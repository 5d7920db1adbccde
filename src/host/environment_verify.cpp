#include "host/environment_verify.h"

#include <algorithm>

#include <fmt/format.h>

#include "host/environments.h"

namespace tare::host {

namespace {

constexpr std::uint64_t kDigestTimeoutMs = 10 * 60 * 1000;

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

Result<std::string> fault_of_flat(const model::Environment& environment, StoreLink& store,
                                  const fiber::Context& ctx) {
  if (environment.flat.empty()) return std::string();
  const std::string fault = fmt::format(
      "flat layer {} and its lowest {} layers do not show the same", environment.flat.back(),
      environment.flat_depth);
  if (environment.flat.size() != 2 || environment.flat.front() != environment.layers.front())
    return fault;
  const auto end = environment.layers.begin() + static_cast<std::ptrdiff_t>(environment.flat_depth);
  const snapshot::Flatten wanted{.layers = {environment.layers.begin(), end},
                                 .kept = 1,
                                 .timeout_ms = kDigestTimeoutMs,
                                 .only_digest = true};
  const auto flat = snapshot::expect<snapshot::Imported>(store.call(wanted, {}, ctx));
  if (flat) return flat->layer.digest == environment.flat.back() ? std::string() : fault;
  if (flat.error().code == Errc::unavailable || !ctx.check()) return flat.error();
  return std::string();
}

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
  if (const std::string fault = TRY(fault_of_flat(environment, store, ctx));
      list.intact && !fault.empty())
    list = {false, fault};
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
