#include "host/flat_chains.h"

#include <gtest/gtest.h>

namespace tare::host {
namespace {

std::string digest(char c) { return "sha256:" + std::string(64, c); }

model::Environment chain_of(std::vector<std::string> layers) {
  model::Environment environment;
  environment.layers = std::move(layers);
  environment.digest = model::digest_of_layers(environment.layers);
  return environment;
}

TEST(FlatChains, a_flat_layer_stands_for_those_it_was_made_of_and_no_others) {
  model::Environment environment = chain_of({digest('1'), digest('2'), digest('3'), digest('4')});
  FlatChains chains;
  model::RunRequest request;
  request.environment_digest = environment.digest;
  request.environment_layers = environment.layers;
  request.files_digest = digest('f');
  chains.learn(environment);
  EXPECT_EQ(chains.mounted(request).size(), 5U) << "nothing is flat yet";
  environment.flat = {digest('1'), digest('a')};
  environment.flat_depth = 3;
  chains.learn(environment);
  EXPECT_EQ(chains.mounted(request),
            (std::vector<std::string>{digest('1'), digest('a'), digest('4'), digest('f')}));
  model::RunRequest other = request;
  other.environment_layers.pop_back();
  EXPECT_EQ(chains.mounted(other).size(), 4U) << "another chain under that digest is not it";
  chains.forget(environment.digest);
  EXPECT_EQ(chains.mounted(request).size(), 5U);
}

}  // namespace
}  // namespace tare::host
