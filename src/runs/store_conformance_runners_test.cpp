// The part of store_conformance_test.cpp about runners, roll-outs and reports.
#include <gmock/gmock.h>

#include "runs/test_store.h"

namespace tare::runs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

model::Runner a_runner(const std::string& version, char digit) {
  model::Runner runner;
  runner.tenant = "default";
  runner.manifest.name = "python";
  runner.manifest.version = version;
  runner.manifest.entry = {"python3", "/opt/tare/runner/main.py"};
  runner.manifest.handshake = {"true"};
  runner.digest = "sha256:" + std::string(64, digit);
  runner.created_ms = 7;
  return runner;
}

model::Rollout a_rollout(const std::string& runner, std::uint32_t percent = 100,
                         const std::string& rest = "") {
  return {0, 7, runner, percent, rest};
}

TEST_P(StoreConformance, a_runner_is_found_by_version_and_without_one_the_last_added) {
  // The order of adding counts, not that of the versions' text, nor the clock.
  const auto second = a_runner("1.10", '2'), first = a_runner("1.9", '1');
  ASSERT_TRUE(store().put_runner(first).ok());
  ASSERT_TRUE(store().put_runner(second).ok());
  backend_->reopen();
  EXPECT_EQ(*store().get_runner("default", "python", "1.9"), first);
  EXPECT_EQ(*store().get_runner("default", "python", ""), second);
  EXPECT_THAT(*store().list_runners("default"), ElementsAre(first, second));
  EXPECT_TRUE(store().list_runners("other")->empty());
  EXPECT_EQ(store().get_runner("other", "python", "").error().code, Errc::not_found);
  EXPECT_THAT(store().get_runner("default", "python", "2").error().message,
              HasSubstr("tare runner add"));
}

TEST_P(StoreConformance, a_version_of_a_runner_never_changes) {
  const auto runner = a_runner("1", '1');
  EXPECT_FALSE(store().put_runner(runner)->existed);
  auto again = runner;
  again.created_ms = 99;
  EXPECT_TRUE(store().put_runner(again)->existed);
  EXPECT_EQ(store().put_runner(again)->runner, runner);
  EXPECT_EQ(store().put_runner(a_runner("1", '2')).error().code, Errc::conflict);
  EXPECT_EQ(store().delete_runner("default", "python", "2").error().code, Errc::not_found);
  ASSERT_TRUE(store().delete_runner("default", "python", "1").ok());
  EXPECT_EQ(store().get_runner("default", "python", "").error().code, Errc::not_found);
}

TEST_P(StoreConformance, roll_outs_are_kept_in_order_and_the_newest_holds) {
  ASSERT_TRUE(store().add_rollout("default", "a", a_rollout("p@1")).ok());
  EXPECT_EQ(store().add_rollout("default", "a", a_rollout("p@2", 10, "p@1"))->sequence, 2U);
  EXPECT_EQ(store().add_rollout("default", "b", a_rollout("p@3"))->sequence, 1U);
  backend_->reopen();
  const auto all = store().rollouts("default", "a", 10);
  ASSERT_TRUE(all.ok()) << all.error().message;
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ(all->front().runner, "p@2");
  EXPECT_EQ(all->front().rest, "p@1");
  EXPECT_EQ(store().rollouts("default", "a", 1)->size(), 1U);
  EXPECT_TRUE(store().rollouts("other", "a", 10)->empty());
  std::vector<std::string> held;
  const auto take = [&](std::string_view agent, const model::Rollout& rollout) -> Result<> {
    held.push_back(std::string(agent) + " " + rollout.runner);
    return ok();
  };
  ASSERT_TRUE(store().each_rollout("default", take).ok());
  EXPECT_THAT(held, ElementsAre("a p@2", "b p@3"));
}

TEST_P(StoreConformance, the_history_of_roll_outs_is_bounded) {
  for (std::uint64_t i = 0; i < kMaxRollouts + 5; ++i)
    ASSERT_TRUE(store().add_rollout("default", "a", a_rollout("p@1")).ok());
  const auto all = store().rollouts("default", "a", kMaxRollouts * 2);
  EXPECT_EQ(all->size(), kMaxRollouts);
  EXPECT_EQ(all->front().sequence, kMaxRollouts + 5);
}

TEST_P(StoreConformance, a_report_goes_with_its_run) {
  const model::Run run = finished(a_run());
  EXPECT_EQ(*store().get_report("default", run.id), "");
  ASSERT_TRUE(store().put_report("default", run.id, "{\"result\":1}").ok());
  ASSERT_TRUE(store().put_report("default", run.id, "{\"result\":2}").ok());
  backend_->reopen();
  EXPECT_EQ(*store().get_report("default", run.id), "{\"result\":2}");
  EXPECT_EQ(*store().get_report("other", run.id), "");
  ASSERT_TRUE(store().delete_run("default", run.id).ok());
  EXPECT_EQ(*store().get_report("default", run.id), "");
}

TEST_P(StoreConformance, the_runner_of_a_session_is_replaced_and_goes_with_it) {
  const model::Run run = finished(a_run());
  EXPECT_FALSE(store().get_session_runner("default", run.id)->has_value());
  model::SessionRunner runner{"p@2", "sha256:" + std::string(64, '2'), false, "", ""};
  EXPECT_FALSE(store().put_session_runner("default", run.id, runner).ok());  // what was before?
  runner.before = "p@1";
  runner.before_digest = "sha256:" + std::string(64, '1');
  ASSERT_TRUE(store().put_session_runner("default", run.id, runner).ok());
  EXPECT_EQ(*store().get_session_runner("default", run.id), runner);
  runner = model::SessionRunner{"p@2", runner.digest, true, "", ""};
  ASSERT_TRUE(store().put_session_runner("default", run.id, runner).ok());
  backend_->reopen();
  EXPECT_EQ(*store().get_session_runner("default", run.id), runner);
  runner.digest = "x";
  EXPECT_FALSE(store().put_session_runner("default", run.id, runner).ok());
  ASSERT_TRUE(store().delete_run("default", run.id).ok());
  EXPECT_FALSE(store().get_session_runner("default", run.id)->has_value());
}

TEST_P(StoreConformance, a_damaged_runner_or_roll_out_is_an_error_that_names_it) {
  ASSERT_TRUE(store().put_runner(a_runner("1", '1')).ok());
  ASSERT_TRUE(store().add_rollout("default", "a", a_rollout("p@1")).ok());
  backend_->damage("UPDATE runners SET digest = 'sha256:x'");
  backend_->damage("UPDATE rollouts SET rollout = '{}'");
  EXPECT_THAT(store().get_runner("default", "python", "").error().message,
              HasSubstr("table runners, row"));
  EXPECT_THAT(store().rollouts("default", "a", 1).error().message, HasSubstr("rollout 1"));
}

}  // namespace
}  // namespace tare::runs
