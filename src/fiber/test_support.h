// Shared by the tests of src/fiber.
#pragma once

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "fiber/loop.h"
#include "sys/fd.h"

namespace tare::fiber {

inline std::unique_ptr<Loop> make_loop() { return std::move(Loop::create()).value(); }

inline Errc code_of(const Result<>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? Errc::internal : result.error().code;
}

// Runs the body in a fiber and fails the test if it returns an error.
template <class Body>
void in_fiber(Body body) {
  auto result = run_fiber(std::move(body));
  ASSERT_TRUE(result.ok()) << result.error().message;
}

// How many fibers a test may have at once: TSan spends a megabyte on each.
#ifdef __SANITIZE_THREAD__
inline constexpr int kManyFibers = 200;
#else
inline constexpr int kManyFibers = 10'000;
#endif

// Counts itself while it lives.
struct Witness {
  explicit Witness(int& counter) : alive(&counter) { ++*alive; }
  Witness(Witness&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
  ~Witness() {
    if (alive != nullptr) --*alive;
  }
  int* alive;
};

struct TempDir {
  TempDir() {
    std::string name = "/tmp/tare_fiber_XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string path;
};

struct Pair {
  explicit Pair(int type = SOCK_STREAM) {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()), 0);
    a.reset(fds[0]);
    b.reset(fds[1]);
  }
  sys::UniqueFd a, b;
};

}  // namespace tare::fiber
