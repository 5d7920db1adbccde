// Random: the only source of random bytes. SystemRandom is the kernel's and fit for keys and
// tokens; SeededRandom repeats itself for the same seed and is for tests and simulations only.
//
// Threads: SystemRandom any; SeededRandom one. Never fails: a kernel without getrandom is a bug
// (CHECK). Source: getrandom(2); splitmix64 by Steele, Lea and Flood (2014).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tare {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) = 0;

  std::uint64_t next_u64();
  // Evenly spread over 0 .. bound-1; bound must not be 0.
  std::uint64_t below(std::uint64_t bound);
};

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override;
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override;

 private:
  std::uint64_t step();
  std::uint64_t state_;
};

}  // namespace tare
