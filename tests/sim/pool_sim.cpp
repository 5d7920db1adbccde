// The pool of empty sandboxes under launches of several kinds, makers that take their time or fail,
// sandboxes that die, and a clock that jumps. What must hold at every step is in check().
#include <map>
#include <set>

#include "sandbox/launch/pool.h"
#include "world.h"

namespace tare::sim {

namespace {

using sandbox::SandboxBase;
using sandbox::WarmPool;

SandboxBase kind(std::uint64_t number) {
  SandboxBase base;
  base.plan = "sha256:" + std::string(64, static_cast<char>('0' + number % 10));
  base.host_root = true;
  return base;
}

class PoolWorld {
 public:
  PoolWorld(Dice& dice, std::size_t most, std::size_t at_once)
      : dice_(dice), most_(most), at_once_(at_once), pool_(most, at_once) {}

  void step() {
    now_us_ += dice_.one_in(50) ? dice_.roll(700'000'000) : dice_.roll(20'000);
    switch (dice_.roll(5)) {
      case 0:
      case 1: launch(); break;
      case 2: finish_one(); break;
      case 3: die(); break;
      default: order(); break;
    }
    end_surplus();
    check();
  }

  // Nobody launches any more: all goes.
  void fall_asleep() {
    while (!making_.empty()) finish_one();
    now_us_ += 3'600'000'000;
    end_surplus();
    expect(pool_.idle() == 0 && idle_.empty(), "a pool that nobody uses is empty");
    expect(!pool_.wanted(now_us_), "and wants nothing");
  }

 private:
  void launch() {
    const SandboxBase base = kind(dice_.roll(4));
    const std::string key = key_of(base);
    const auto number = pool_.take(base, now_us_);
    if (!number) return;
    expect(idle_.contains(*number), "what is given out was waiting");
    expect(idle_.at(*number) == key, "and is of the kind that was asked for");
    idle_.erase(*number);
  }

  void order() {
    while (const auto base = pool_.wanted(now_us_)) {
      const std::string key = key_of(*base);
      pool_.making(key);
      making_.emplace(next_++, key);
    }
  }

  void finish_one() {
    if (making_.empty()) return;
    const auto [number, key] = *making_.begin();
    making_.erase(making_.begin());
    if (dice_.one_in(8)) return pool_.not_made(key, now_us_);
    if (pool_.ready(key, number)) idle_.emplace(number, key);
  }

  void die() {
    if (idle_.empty()) return;
    const auto victim = *idle_.begin();
    idle_.erase(idle_.begin());
    pool_.gone(victim.second, victim.first);
  }

  void end_surplus() {
    for (const std::uint32_t number : pool_.surplus(now_us_))
      expect(idle_.erase(number) == 1, "what is too many was waiting");
  }

  void check() {
    expect(pool_.idle() == idle_.size(), "the pool counts what waits");
    expect(pool_.idle() + pool_.being_made() <= most_, "never more than it may have");
    expect(pool_.being_made() <= at_once_, "nor more made at once than may be");
  }

  Dice& dice_;
  std::size_t most_, at_once_;
  WarmPool pool_;
  std::uint64_t now_us_ = 1'000'000;
  std::uint32_t next_ = 1;
  std::map<std::uint32_t, std::string> idle_, making_;
};

}  // namespace

void simulate_pool(std::uint64_t seed) {
  Dice dice(seed);
  const std::size_t most = dice.roll(12);
  PoolWorld world(dice, most, 1 + dice.roll(4));
  for (int i = 0; i < 400; ++i) world.step();
  world.fall_asleep();
}

}  // namespace tare::sim
