// The neighbour of a bomb (ATTACKS.md S32): small steady work, and how long it takes.
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <vector>

#include "attack.h"

namespace tare::attack {

namespace {

std::uint64_t now_us() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

// Every 2 ms: a call, a small file written and synced, a page of memory. From when it was due to
// when it was done, so that coming late counts.
int neighbour(int seconds) {
  constexpr std::uint64_t kPeriodUs = 2000;
  const int fd = ::open("/dev/shm/steady", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  std::vector<std::uint64_t> took;
  std::uint64_t due = now_us();
  const std::uint64_t end = due + static_cast<std::uint64_t>(seconds) * 1'000'000;
  for (; due < end; due += kPeriodUs) {
    const std::uint64_t now = now_us();
    if (now < due) {
      const timespec time = {0, static_cast<long>((due - now) * 1000)};
      ::nanosleep(&time, nullptr);
    }
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(page, 1, 4096);
    if (::getpid() < 0 || ::pwrite(fd, page, 4096, 0) != 4096 || ::fsync(fd) != 0) return 1;
    ::munmap(page, 4096);
    took.push_back(now_us() - due);
  }
  std::sort(took.begin(), took.end());
  const auto at = [&took](double part) {
    return took[static_cast<std::size_t>(part * static_cast<double>(took.size() - 1))];
  };
  std::printf("steps %zu p50 %lu p99 %lu max %lu\n", took.size(), at(0.5), at(0.99), took.back());
  return 0;
}

}  // namespace tare::attack
