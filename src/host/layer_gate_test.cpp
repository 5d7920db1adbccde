#include "host/layer_gate.h"

#include <gtest/gtest.h>

#include "fiber/loop.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"

namespace tare::host {
namespace {

using namespace std::chrono_literals;

// Runs `body` in a fiber.
template <class Body>
void in_fiber(Body body) {
  ASSERT_TRUE(fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
                body(ctx);
                return ok();
              }).ok());
}

TEST(LayerGate, a_sweep_waits_for_a_publication_that_is_under_way) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate;
    std::string order;
    auto publishing = std::optional(gate.publish(ctx).value());
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      auto sweep = gate.sweep(task);
      EXPECT_TRUE(sweep.ok());
      order += "s";
    });
    ASSERT_TRUE(fiber::sleep_for(5ms, ctx).ok());
    order += "p";
    publishing.reset();
    tasks.join();
    EXPECT_EQ(order, "ps");
  });
}

TEST(LayerGate, a_sweep_that_somebody_asked_for_waits_for_a_quiet_one_and_no_quiet_one_for_any) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate;
    std::string order;
    auto quiet = std::optional(gate.sweep(ctx, LayerGate::Sweep::quiet).value());
    EXPECT_EQ(gate.sweep(ctx, LayerGate::Sweep::quiet).error().code, Errc::conflict);
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      const auto asked = gate.sweep(task);
      EXPECT_TRUE(asked.ok());
      EXPECT_EQ(gate.sweep(task, LayerGate::Sweep::quiet).error().code, Errc::conflict);
      order += "a";
    });
    ASSERT_TRUE(fiber::sleep_for(5ms, ctx).ok());
    order += "q";
    quiet.reset();
    tasks.join();
    EXPECT_EQ(order, "qa");
  });
}

TEST(LayerGate, a_publication_waits_for_a_sweep_and_a_second_sweep_is_refused) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate;
    std::string order;
    auto sweep = std::optional(gate.sweep(ctx).value());
    EXPECT_EQ(gate.sweep(ctx).error().code, Errc::conflict);
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      EXPECT_TRUE(gate.publish(task).ok());
      order += "p";
    });
    ASSERT_TRUE(fiber::sleep_for(5ms, ctx).ok());
    order += "s";
    sweep.reset();
    tasks.join();
    EXPECT_EQ(order, "sp");
    EXPECT_TRUE(gate.sweep(ctx).ok());
  });
}

// Those who publish all the time, each beginning before another ends, would never let it begin.
TEST(LayerGate, a_sweep_that_waits_comes_before_publications_that_begin_later) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate;
    std::string order;
    auto before = std::optional(gate.publish(ctx).value());
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      const auto sweep = gate.sweep(task);
      EXPECT_TRUE(sweep.ok());
      order += "s";
      EXPECT_TRUE(fiber::sleep_for(5ms, task).ok());
      order += "e";
    });
    fiber::yield();
    tasks.spawn([&](const fiber::Context& task) {
      EXPECT_TRUE(gate.publish(task).ok());
      order += "p";
    });
    ASSERT_TRUE(fiber::sleep_for(5ms, ctx).ok());
    before.reset();
    tasks.join();
    EXPECT_EQ(order, "sep");
  });
}

TEST(LayerGate, a_publication_that_was_held_back_goes_on_when_the_sweep_gives_up) {
  in_fiber([](const fiber::Context& ctx) {
    for (const auto kind : {LayerGate::Sweep::asked, LayerGate::Sweep::quiet}) {
      LayerGate gate(10ms);
      const auto build = gate.publish(ctx).value();  // it takes its time
      fiber::TaskGroup tasks(ctx);
      bool gave_up = false;
      tasks.spawn([&](const fiber::Context& task) {
        EXPECT_EQ(gate.sweep(task, kind).error().code, Errc::conflict);
        gave_up = true;
      });
      fiber::yield();
      EXPECT_TRUE(gate.publish(ctx).ok());
      EXPECT_TRUE(gave_up);
      tasks.join();
    }
  });
}

TEST(LayerGate, however_many_sweeps_wait_one_after_the_other_a_publication_begins) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate(10ms);
    const auto build = gate.publish(ctx).value();
    bool begun = false;
    fiber::TaskGroup tasks(ctx);
    for (int i = 0; i < 2; ++i) {  // there is always one that waits
      tasks.spawn([&, i](const fiber::Context& task) {
        EXPECT_TRUE(fiber::sleep_for(i * 5ms, task).ok());
        while (!begun) EXPECT_EQ(gate.sweep(task).error().code, Errc::conflict);
      });
    }
    fiber::yield();
    EXPECT_TRUE(gate.publish(ctx).ok());
    begun = true;
    tasks.join();
  });
}

TEST(LayerGate, who_waits_for_readers_waits_for_those_before_and_not_for_those_after) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate;
    std::string order;
    auto before = std::optional(gate.read());
    fiber::TaskGroup tasks(ctx);
    tasks.spawn([&](const fiber::Context& task) {
      EXPECT_TRUE(gate.readers_gone(task).ok());
      order += "w";
    });
    ASSERT_TRUE(fiber::sleep_for(5ms, ctx).ok());
    const auto after = gate.read();
    order += "r";
    before.reset();
    tasks.join();
    EXPECT_EQ(order, "rw");
  });
}

TEST(LayerGate, a_reader_may_begin_while_a_sweep_is_under_way) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate;
    const auto sweep = gate.sweep(ctx).value();
    {
      const auto reader = gate.read();
    }
    EXPECT_TRUE(gate.readers_gone(ctx).ok());
  });
}

// One that stays for as long as it likes would keep the sweep, and so all who publish.
TEST(LayerGate, publications_behind_a_sweep_begin_when_a_reader_stays_too_long_for_it) {
  in_fiber([](const fiber::Context& ctx) {
    for (const auto kind : {LayerGate::Sweep::asked, LayerGate::Sweep::quiet}) {
      LayerGate gate(10ms);
      const auto stays = gate.read();
      fiber::TaskGroup tasks(ctx);
      bool gave_up = false;
      tasks.spawn([&](const fiber::Context& task) {
        const auto sweep = gate.sweep(task, kind);
        EXPECT_TRUE(sweep.ok());
        EXPECT_EQ(gate.readers_gone(task, kind).error().code, Errc::conflict);
        gave_up = true;
      });
      fiber::yield();
      const auto publishing = gate.publish(ctx.with_timeout(20s));
      EXPECT_TRUE(publishing.ok());
      EXPECT_TRUE(gave_up);
      tasks.cancel();
      tasks.join();
    }
  });
}

TEST(LayerGate, a_layer_is_leased_until_the_last_lease_of_it_goes) {
  LayerGate gate;
  {
    const auto first = gate.lease({"a", "b", "a"});
    auto second = std::optional(gate.lease({"a"}));
    {
      const auto moved = std::move(*second);
      second.reset();
      EXPECT_TRUE(gate.is_leased("a") && gate.is_leased("b"));
    }
    EXPECT_TRUE(gate.is_leased("a") && gate.is_leased("b"));
    EXPECT_FALSE(gate.is_leased("c"));
  }
  EXPECT_FALSE(gate.is_leased("a") || gate.is_leased("b"));
}

TEST(LayerGate, a_wait_ends_with_its_context) {
  in_fiber([](const fiber::Context& ctx) {
    LayerGate gate;
    const auto reader = gate.read();
    EXPECT_EQ(gate.readers_gone(ctx.with_timeout(1ms)).error().code, Errc::timeout);
    const auto sweep = gate.sweep(ctx).value();
    EXPECT_EQ(gate.publish(ctx.with_timeout(1ms)).error().code, Errc::timeout);
  });
}

}  // namespace
}  // namespace tare::host
