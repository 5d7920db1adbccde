// Time as the loop sees it: monotonic, so a change of the wall clock moves no deadline. Threads:
// any.
#pragma once

#include <chrono>

namespace tare::fiber {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

}  // namespace tare::fiber
