#include "host/flat_chains.h"

#include "host/spec.h"

namespace tare::host {

namespace {

// `flat` instead of the lowest `depth`.
std::vector<std::string> laid_on(std::vector<std::string> flat, std::size_t depth,
                                 const std::vector<std::string>& layers) {
  flat.insert(flat.end(), layers.begin() + static_cast<std::ptrdiff_t>(depth), layers.end());
  return flat;
}

}  // namespace

std::vector<std::string> mounted_layers(const model::Environment& environment) {
  return laid_on(environment.flat, environment.flat_depth, environment.layers);
}

std::vector<std::string> FlatChains::mounted(const model::RunRequest& request) const {
  const auto found = chains_.find(request.environment_digest);
  // A digest is of the layers; the comparison costs nothing.
  if (found == chains_.end() || !found->second.stands_in(request.environment_layers))
    return layers_of(request);
  std::vector<std::string> layers = laid_on(found->second.flat, found->second.of.size(),
                                            request.environment_layers);
  if (!request.files_digest.empty()) layers.push_back(request.files_digest);
  return layers;
}

std::vector<std::string> FlatChains::mounted(const model::Run& run) const {
  return with_own(mounted(run.request), run.own);
}

}  // namespace tare::host
