#include "sys/scheduling.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <thread>

namespace tare::sys {
namespace {

std::uint64_t own_slice_ns() {
  std::array<std::byte, 48> attributes{};
  std::uint64_t slice = 0;
  EXPECT_EQ(::syscall(SYS_sched_getattr, 0, attributes.data(), attributes.size(), 0), 0);
  std::memcpy(&slice, attributes.data() + 24, sizeof slice);
  return slice;
}

TEST(Scheduling, a_thread_that_asks_gets_a_shorter_slice_and_keeps_its_share) {
  std::thread([] {
    const std::uint64_t before = own_slice_ns();
    const int nice = ::getpriority(PRIO_PROCESS, 0);
    ask_for_short_slices();
    EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
    EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), nice);
    if (before == 0) GTEST_SKIP() << "this kernel knows no slices (since 6.12)";
    EXPECT_LT(own_slice_ns(), before);
  }).join();
}

}  // namespace
}  // namespace tare::sys
