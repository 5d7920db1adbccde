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
  const model::Environment environment = chain_of(
      {digest('1'), digest('2'), digest('3'), digest('4')});
  FlatChains chains;
  model::RunRequest request;
  request.environment_digest = environment.digest;
  request.environment_layers = environment.layers;
  request.files_digest = digest('f');
  EXPECT_EQ(chains.mounted(request).size(), 5U) << "nothing is flat yet";
  chains.learn(environment.digest, {.older = {digest('b')}});
  EXPECT_EQ(chains.mounted(request).size(), 5U) << "what was mounted before is not any more";
  const model::FlatLayers flat{.of = {digest('1'), digest('2'), digest('3')},
                               .flat = {digest('1'), digest('a')}};
  chains.learn(environment.digest, flat);
  EXPECT_EQ(chains.mounted(request),
            (std::vector<std::string>{digest('1'), digest('a'), digest('4'), digest('f')}));
  EXPECT_EQ(mounted_layers(model::with_flat(environment, flat)),
            (std::vector<std::string>{digest('1'), digest('a'), digest('4')}));
  model::RunRequest other = request;
  other.environment_layers[2] = digest('5');
  EXPECT_EQ(chains.mounted(other).size(), 5U) << "another chain under that digest is not it";
  other.environment_layers.resize(2);
  EXPECT_EQ(chains.mounted(other).size(), 3U) << "nor is a shorter one";
  chains.forget(environment.digest);
  EXPECT_EQ(chains.mounted(request).size(), 5U);
}

}  // namespace
}  // namespace tare::host
