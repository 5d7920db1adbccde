// Dice and assertions of a simulation: all chance comes from one seed, so a failure is repeated by
// its seed alone. Single thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "base/random.h"

namespace tare::sim {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  // From 0 to n - 1.
  std::uint64_t roll(std::uint64_t n) {
    std::array<std::byte, 8> bytes;
    random_.fill(bytes);
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data(), sizeof number);
    return number % n;
  }
  bool one_in(std::uint64_t n) { return roll(n) == 0; }

 private:
  SeededRandom random_;
};

// Throws with what was expected; main names the seed.
inline void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

// One life of each, from one seed.
void simulate_pool(std::uint64_t seed);
void simulate_runs(std::uint64_t seed);

}  // namespace tare::sim
