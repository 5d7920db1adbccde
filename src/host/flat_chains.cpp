#include "host/flat_chains.h"

#include "host/spec.h"

namespace tare::host {

std::vector<std::string> mounted_layers(const model::Environment& environment) {
  if (environment.flat.empty()) return environment.layers;
  std::vector<std::string> layers = environment.flat;
  layers.insert(layers.end(),
                environment.layers.begin() + static_cast<std::ptrdiff_t>(environment.flat_depth),
                environment.layers.end());
  return layers;
}

void FlatChains::learn(const model::Environment& environment) {
  if (environment.flat.empty()) return;
  chains_[environment.digest] = {environment.layers, mounted_layers(environment)};
}

std::vector<std::string> FlatChains::mounted(const model::RunRequest& request) const {
  const auto found = chains_.find(request.environment_digest);
  // A digest is of the layers; the comparison costs nothing.
  if (found == chains_.end() || found->second.layers != request.environment_layers)
    return layers_of(request);
  std::vector<std::string> layers = found->second.mounted;
  if (!request.files_digest.empty()) layers.push_back(request.files_digest);
  return layers;
}

std::vector<std::string> FlatChains::mounted(const model::Run& run) const {
  return with_own(mounted(run.request), run.own);
}

}  // namespace tare::host
