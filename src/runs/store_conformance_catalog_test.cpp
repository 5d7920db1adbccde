// The part of store_conformance_test.cpp about names and versions.
#include <gmock/gmock.h>

#include "runs/test_store.h"

namespace tare::runs {
namespace {

using ::testing::ElementsAre;

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
