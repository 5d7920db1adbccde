// Deterministic simulation: every seed is one life of each simulated part.
//
//   sim [--seed N] [--runs N]     seeds N, N+1, ...; default: 1, 2000 of them
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "world.h"

int main(int argc, char** argv) {
  std::uint64_t seed = 1;
  std::uint64_t runs = 2000;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::uint64_t& value = std::strcmp(argv[i], "--seed") == 0 ? seed : runs;
    value = std::strtoull(argv[i + 1], nullptr, 10);
  }
  for (std::uint64_t i = 0; i < runs; ++i) {
    try {
      tare::sim::simulate_pool(seed + i);
      tare::sim::simulate_runs(seed + i);
    } catch (const std::exception& failure) {
      std::printf("seed %llu: %s\nagain: ./dev sim --seed %llu --runs 1\n",
                  static_cast<unsigned long long>(seed + i), failure.what(),
                  static_cast<unsigned long long>(seed + i));
      return 1;
    }
  }
  std::printf("%llu seeds from %llu: all held\n", static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(seed));
  return 0;
}
