// The part of store_conformance_test.cpp about names and versions.
#include <gmock/gmock.h>

#include "runs/test_store.h"

namespace tare::runs {
namespace {

using ::testing::ElementsAre;

TEST_P(StoreConformance, flat_layers_are_of_a_digest_whatever_names_it_has) {
  const auto digest = [](char c) { return "sha256:" + std::string(64, c); };
  auto one = an_environment("one", "debian:bookworm", '1');
  one.layers = {digest('2'), digest('3'), digest('4')};
  const model::FlatLayers flat{
      .of = {digest('2'), digest('3')}, .flat = {digest('2'), digest('a')}, .older = {digest('b')}};
  ASSERT_TRUE(store().put_flat_layers("default", one.digest, flat).ok());
  ASSERT_TRUE(store().put_environment(one).ok());
  auto two = one;
  two.name = "two";
  two.flat = {digest('f')};  // not kept with it
  two.flat_depth = 1;
  ASSERT_TRUE(store().put_environment(two).ok());
  backend_->reopen();
  EXPECT_EQ(*store().get_environment("default", "one"), model::with_flat(one, flat));
  EXPECT_EQ(*store().get_environment("default", one.digest), model::with_flat(one, flat));
  const auto both = store().list_environments("default");
  for (const auto& any : *both) EXPECT_EQ(any.flat, flat.flat);
  // What the name stands for next has none of it, and who has the digest still all.
  auto rebuilt = *store().get_environment("default", "one");
  rebuilt.digest = digest('9');
  rebuilt.layers = {digest('2'), digest('5')};
  ASSERT_TRUE(store().put_environment(rebuilt).ok());
  EXPECT_EQ(*store().get_environment("default", "one"), model::without_flat(rebuilt));
  ASSERT_TRUE(store().delete_environment("default", "two").ok());
  EXPECT_EQ(store().flat_layers("default")->at(one.digest), flat);
  EXPECT_TRUE(store().flat_layers("other")->empty());
  EXPECT_EQ(store().put_flat_layers("default", "", flat).error().code, Errc::invalid);
  EXPECT_EQ(store().put_flat_layers("default", one.digest, {.of = flat.of}).error().code,
            Errc::invalid);
  ASSERT_TRUE(store().delete_flat_layers("default", one.digest).ok());
  EXPECT_TRUE(store().flat_layers("default")->empty());
}

TEST_P(StoreConformance, an_environment_is_deleted_by_its_name_alone) {
  const auto one = an_environment("one", "debian:bookworm", '1');
  const auto two = an_environment("two", "debian:bookworm", '1');
  ASSERT_TRUE(store().put_environment(one).ok());
  ASSERT_TRUE(store().put_environment(two).ok());
  for (const std::string& other : {one.source, one.digest, std::string("three")}) {
    EXPECT_EQ(store().delete_environment("default", other).error().code, Errc::not_found);
  }
  EXPECT_EQ(store().delete_environment("other", "one").error().code, Errc::not_found);
  ASSERT_TRUE(store().delete_environment("default", "one").ok());
  backend_->reopen();
  EXPECT_THAT(*store().list_environments("default"), ElementsAre(two));
}

TEST_P(StoreConformance, every_version_of_every_agent_is_told) {
  model::Agent changed = an_agent("b");
  changed.manifest.description = "changed";
  for (const auto& agent : {an_agent("b"), an_agent("a"), changed}) {
    ASSERT_TRUE(store().put_agent(agent).ok());
  }
  std::vector<std::string> seen;
  const auto take = [&](const model::Agent& agent) -> Result<> {
    seen.push_back(agent.name + std::to_string(agent.version));
    return ok();
  };
  ASSERT_TRUE(store().each_agent_version("default", take).ok());
  EXPECT_THAT(seen, ElementsAre("a1", "b1", "b2"));
  ASSERT_TRUE(store().each_agent_version("other", take).ok());
  EXPECT_EQ(seen.size(), 3U);
  const auto stop = [](const model::Agent&) { return Result<>(Error{Errc::conflict, "stop"}); };
  EXPECT_EQ(store().each_agent_version("default", stop).error().code, Errc::conflict);
}

}  // namespace
}  // namespace tare::runs
