// What one attempt really used, measured by the launcher at its end. Pure values.
#pragma once

#include <cstdint>

namespace tare::model {

struct Usage {
  std::uint64_t cpu_us = 0;             // user + system time of the whole process tree
  std::uint64_t memory_peak_bytes = 0;  // of the cgroup
  std::uint64_t read_bytes = 0;  // by read(2) and its kin, from files, pipes and devices alike
  std::uint64_t written_bytes = 0;
  std::uint64_t stdout_bytes = 0;
  std::uint64_t stderr_bytes = 0;
  std::uint64_t
      start_us = 0;  // launch request received by the launcher -> just before the program's exec
  std::uint64_t wall_us = 0;  // program's exec -> its end
  std::uint64_t cpu_throttled_us = 0;
  std::uint64_t denied_calls = 0;  // refused and told; of a killed run at least half of them

  friend bool operator==(const Usage&, const Usage&) = default;
};

}  // namespace tare::model
