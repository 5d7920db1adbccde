#include "host/layer_sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "fiber/loop.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"

namespace tare::host {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

// A store and records as plain sets: the moments between them are what is tested here.
class LayerSweepTest : public testing::Test {
 protected:
  template <class Body>
  void in_fiber(Body body) {
    auto ended = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
      body(ctx);
      return ok();
    });
    ASSERT_TRUE(ended.ok());
  }
  LayerSweep sweep() {
    return {.gate = gate_,
            .list = [this](const fiber::Context&) -> Result<std::vector<snapshot::LayerInfo>> {
              std::vector<snapshot::LayerInfo> all;
              for (const std::string& digest : stored_) all.push_back({digest, 1, 10});
              return all;
            },
            .named = [this]() -> Result<NamedLayers> {
              if (damaged_) return Error{Errc::internal, "a row cannot be read"};
              NamedLayers named;
              for (const std::string& digest : needed_)
                named[digest].insert(Owner{Owner::Kind::environment, "box"});
              return named;
            },
            .forget = [this]() -> Result<> {
              stored_when_forgotten_ = stored_.size();
              return ok();
            },
            .remove = [this](const std::string& digest, const fiber::Context& ctx) -> Result<> {
              TRY(fiber::sleep_for(1ms, ctx));
              stored_.erase(digest);
              return ok();
            }};
  }

  LayerGate gate_;
  std::set<std::string, std::less<>> stored_ = {"a", "b", "c"}, needed_ = {"a"};
  bool damaged_ = false;
  std::size_t stored_when_forgotten_ = 0;
};

TEST_F(LayerSweepTest, what_nothing_needs_goes_and_the_rest_stays) {
  in_fiber([&](const fiber::Context& ctx) {
    const auto would = sweep_layers(sweep(), true, ctx).value();
    EXPECT_EQ(would.removed.size(), 2U);
    EXPECT_EQ(stored_.size(), 3U) << "a dry run removes nothing";
    EXPECT_EQ(stored_when_forgotten_, 0U) << "nor forgets";
    const auto swept = sweep_layers(sweep(), false, ctx).value();
    EXPECT_EQ(swept.removed, would.removed);
    EXPECT_EQ(swept.kept, 1U);
    EXPECT_EQ(stored_when_forgotten_, 3U) << "before they go";
    EXPECT_THAT(stored_, ElementsAre("a"));
    EXPECT_THAT(sweep_layers(sweep(), false, ctx).value().removed, IsEmpty());
  });
}

TEST_F(LayerSweepTest, nothing_is_removed_when_a_record_cannot_be_read) {
  damaged_ = true;
  in_fiber([&](const fiber::Context& ctx) {
    EXPECT_EQ(sweep_layers(sweep(), false, ctx).error().code, Errc::internal);
    EXPECT_EQ(stored_.size(), 3U);
  });
}

// A run is admitted: its environment was resolved before the sweep and loses its last name then.
TEST_F(LayerSweepTest, a_layer_stays_that_somebody_had_come_upon_before) {
  in_fiber([&](const fiber::Context& ctx) {
    auto reading = std::optional(gate_.read());
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      const auto swept = sweep_layers(sweep(), false, task).value();
      EXPECT_EQ(swept.removed.size(), 1U);
    });
    ASSERT_TRUE(fiber::sleep_for(5ms, ctx).ok());
    EXPECT_EQ(stored_.size(), 3U) << "it waits for who reads";
    needed_.insert("b");  // the run is among those that live
    reading.reset();
    tasks.join();
    EXPECT_THAT(stored_, ElementsAre("a", "b"));
  });
}

// Somebody has it sent, and takes his time for it.
TEST_F(LayerSweepTest, a_layer_stays_and_nobody_waits_while_it_is_leased) {
  in_fiber([&](const fiber::Context& ctx) {
    auto lease = std::optional(gate_.lease({"b"}));
    EXPECT_EQ(sweep_layers(sweep(), false, ctx).value().removed.size(), 1U);
    EXPECT_THAT(stored_, ElementsAre("a", "b"));
    lease.reset();
    EXPECT_EQ(sweep_layers(sweep(), false, ctx).value().removed.size(), 1U);
    EXPECT_THAT(stored_, ElementsAre("a"));
  });
}

// It was resolved before the sweep, and is leased while that waits for who resolved it.
TEST_F(LayerSweepTest, a_layer_stays_that_who_had_come_upon_it_before_has_leased) {
  in_fiber([&](const fiber::Context& ctx) {
    auto reading = std::optional(gate_.read());
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      EXPECT_EQ(sweep_layers(sweep(), false, task).value().removed.size(), 1U);
    });
    fiber::yield();
    const auto lease = gate_.lease({"b"});
    reading.reset();
    tasks.join();
    EXPECT_THAT(stored_, ElementsAre("a", "b"));
  });
}

TEST_F(LayerSweepTest, nothing_is_removed_and_others_go_on_when_a_reader_stays_too_long) {
  in_fiber([&](const fiber::Context& ctx) {
    LayerGate gate(10ms);
    const auto stays = gate.read();
    const LayerSweep usual = sweep();
    const LayerSweep impatient{.gate = gate,
                               .list = usual.list,
                               .named = usual.named,
                               .forget = usual.forget,
                               .remove = usual.remove};
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      EXPECT_EQ(sweep_layers(impatient, false, task).error().code, Errc::conflict);
    });
    fiber::yield();
    EXPECT_TRUE(gate.publish(ctx.with_timeout(20s)).ok());
    tasks.cancel();
    tasks.join();
    EXPECT_EQ(stored_.size(), 3U);
  });
}

// A build has been told of its layer and not yet recorded it.
TEST_F(LayerSweepTest, a_layer_stays_that_was_stored_and_is_not_yet_on_record) {
  in_fiber([&](const fiber::Context& ctx) {
    auto publishing = std::optional(gate_.publish(ctx).value());
    stored_.insert("new");
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      EXPECT_EQ(sweep_layers(sweep(), false, task).value().removed.size(), 2U);
    });
    ASSERT_TRUE(fiber::sleep_for(5ms, ctx).ok());
    EXPECT_EQ(stored_.size(), 4U);
    needed_.insert("new");
    publishing.reset();
    tasks.join();
    EXPECT_THAT(stored_, ElementsAre("a", "new"));
  });
}

// The store answers a build with a layer that was there, which the sweep is about to remove.
TEST_F(LayerSweepTest, nothing_is_stored_while_layers_go) {
  in_fiber([&](const fiber::Context& ctx) {
    fiber::TaskGroup tasks(ctx);
    tasks.spawn(
        [&](const fiber::Context& task) { EXPECT_TRUE(sweep_layers(sweep(), false, task).ok()); });
    fiber::yield();
    const auto publishing = gate_.publish(ctx).value();
    EXPECT_THAT(stored_, ElementsAre("a")) << "all that goes has gone";
    const bool reused = stored_.contains("b");
    EXPECT_FALSE(reused);
    stored_.insert("b");
    needed_.insert("b");
    tasks.join();
    EXPECT_THAT(stored_, ElementsAre("a", "b"));
  });
}

// One that begins while the sweep is under way can only come upon what is needed.
TEST_F(LayerSweepTest, who_begins_later_does_not_hold_it_up) {
  in_fiber([&](const fiber::Context& ctx) {
    auto before = std::optional(gate_.read());
    fiber::TaskGroup tasks(ctx);
    tasks.spawn(
        [&](const fiber::Context& task) { EXPECT_TRUE(sweep_layers(sweep(), false, task).ok()); });
    ASSERT_TRUE(fiber::sleep_for(2ms, ctx).ok());
    const auto later = gate_.read();
    before.reset();
    tasks.join();
    EXPECT_THAT(stored_, ElementsAre("a"));
  });
}

}  // namespace
}  // namespace tare::host
