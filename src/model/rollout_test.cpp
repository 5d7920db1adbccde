#include "model/rollout.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"

namespace tare::model {
namespace {

std::vector<std::string> many_ids() {
  ManualClock clock(1'700'000'000'000);
  SeededRandom random(1);
  RunIdGenerator ids(clock, random);
  std::vector<std::string> out;
  for (int i = 0; i < 10'000; ++i) out.push_back(ids.next());
  return out;
}

TEST(Rollout, a_percentage_is_kept_and_those_that_had_it_keep_it_when_it_grows) {
  const auto ids = many_ids();
  std::size_t before = 0;
  for (const std::uint32_t percent : {1U, 10U, 50U, 100U}) {
    const Rollout rollout{1, 0, "p@2", percent, percent == 100 ? "" : "p@1"};
    std::size_t chosen = 0, lost = 0;
    for (const std::string& id : ids) {
      const bool has = choose_runner(rollout, "a", id) == "p@2";
      EXPECT_EQ(choose_runner(rollout, "a", id), has ? "p@2" : "p@1");
      Rollout smaller = rollout;
      smaller.percent = percent / 2 + 1;
      if (percent == 100) smaller.rest = "p@1";
      if (!has && choose_runner(smaller, "a", id) == "p@2") ++lost;
      chosen += has ? 1 : 0;
    }
    // Ten standard deviations of 10,000 draws are below 5 %.
    EXPECT_NEAR(static_cast<double>(chosen) / 100, percent, 5) << percent;
    EXPECT_EQ(lost, 0U);
    EXPECT_GT(chosen, before);
    before = chosen;
  }
}

TEST(Rollout, which_runs_have_it_differs_between_agents) {
  const Rollout rollout{1, 0, "p@2", 50, "p@1", 0};
  std::size_t differ = 0;
  for (const std::string& id : many_ids())
    differ += choose_runner(rollout, "a", id) != choose_runner(rollout, "b", id) ? 1 : 0;
  EXPECT_GT(differ, 1'000U);
}

TEST(Rollout, the_rest_stay_with_what_they_have) {
  const Rollout first{1, 0, "p@1", 100, "", 0};
  const Rollout tenth = next_rollout(first, "p@2", 10);
  EXPECT_EQ(tenth.rest, "p@1");
  const Rollout half = next_rollout(tenth, "p@2", 50);
  EXPECT_EQ(half.rest, "p@1");
  EXPECT_EQ(half.percent, 50U);
  EXPECT_EQ(next_rollout(half, "p@3", 10).rest, "p@1");
  const Rollout all = next_rollout(half, "p@2", 100);
  EXPECT_EQ(all.rest, "");
  EXPECT_EQ(next_rollout(all, "p@3", 10).rest, "p@2");
}

TEST(Rollout, going_back_twice_is_two_steps_and_never_forwards) {
  std::vector<Rollout> history;  // newest first
  const auto add = [&](Rollout one) {
    one.sequence = history.size() + 1;
    history.insert(history.begin(), one);
  };
  EXPECT_FALSE(rollout_before(history));
  add({0, 0, "p@1", 100, "", 0});
  EXPECT_FALSE(rollout_before(history));
  add({0, 0, "p@2", 10, "p@1", 0});
  add({0, 0, "p@2", 100, "", 0});
  add(*rollout_before(history));
  EXPECT_EQ(history.front().percent, 10U);
  add(*rollout_before(history));
  EXPECT_EQ(history.front().runner, "p@1");
  EXPECT_EQ(history.front().restores, 1U);
  EXPECT_FALSE(rollout_before(history));
  add({0, 0, "p@3", 100, "", 0});
  add(*rollout_before(history));
  EXPECT_EQ(history.front().runner, "p@1");
  EXPECT_FALSE(rollout_before(history));
}

TEST(Rollout, comes_back_from_its_record_and_a_damaged_one_is_refused) {
  for (const Rollout& rollout :
       {Rollout{3, 7, "p@2", 10, "p@1", 0}, Rollout{1, 0, "p@1", 100, "", 0}}) {
    const auto back = rollout_from_json(to_json(rollout));
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(*back, rollout);
  }
  for (const Rollout& damaged :
       {Rollout{1, 0, "p", 100, "", 0}, Rollout{1, 0, "p@1", 0, "p@1", 0},
        Rollout{1, 0, "p@1", 50, "", 0}, Rollout{1, 0, "p@1", 100, "p@2", 0},
        Rollout{0, 0, "p@1", 100, "", 0}}) {
    EXPECT_FALSE(rollout_from_json(to_json(damaged)).ok());
  }
}

}  // namespace
}  // namespace tare::model
