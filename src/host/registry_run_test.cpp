#include "host/registry_run.h"

#include <gtest/gtest.h>

#include "model/validate.h"

namespace tare::host {
namespace {

model::RunRequest request(std::string_view verb) {
  const auto image = model::parse_image_reference("registry.example/a:1").value();
  return registry_run(verb, image, true, "",
                      {kRegistryProgram, "sha256:" + std::string(64, 'a'), 1});
}

TEST(RegistryRun, one_is_known_by_its_request) {
  for (const char* verb : {"pull", "push"}) {
    EXPECT_EQ(registry_verb(request(verb)), verb);
    EXPECT_TRUE(model::validate(request(verb)).ok());
    EXPECT_NE(orphaned_by_restart(request(verb)), "");
  }
}

TEST(RegistryRun, a_run_that_only_looks_a_little_like_one_is_none) {
  EXPECT_EQ(registry_verb(model::RunRequest()), "");
  EXPECT_EQ(orphaned_by_restart(model::RunRequest()), "");
  EXPECT_EQ(registry_verb(request("help")), "");
  model::RunRequest other = request("push");
  other.with_stdin = false;
  EXPECT_EQ(registry_verb(other), "");
  other = request("push");
  other.inputs.clear();
  EXPECT_EQ(registry_verb(other), "");
  other = request("push");
  other.profile = "default";
  EXPECT_EQ(registry_verb(other), "");
}

TEST(RegistryRun, what_it_may_say_is_bounded) {
  EXPECT_GT(request("pull").limits.output_bytes, 0U);
}

}  // namespace
}  // namespace tare::host
