// What attempts really used, measured by the launcher at their end. Pure values.
#pragma once

#include <algorithm>
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
  // Limits that end no run: what was beyond them was refused to the program, by its own call.
  std::uint64_t processes_refused = 0;  // forks and threads
  bool disk_full = false;               // no byte of the writable space was free at the end
  bool inodes_full = false;             // no further file could be made

  bool met_a_limit() const { return processes_refused > 0 || disk_full || inodes_full; }
  friend bool operator==(const Usage&, const Usage&) = default;
};

// Of two attempts, one after the other: the start is that of the later one.
inline Usage sum_of(const Usage& before, const Usage& after) {
  Usage sum = before;
  sum.cpu_us += after.cpu_us;
  sum.memory_peak_bytes = std::max(before.memory_peak_bytes, after.memory_peak_bytes);
  sum.read_bytes += after.read_bytes;
  sum.written_bytes += after.written_bytes;
  sum.stdout_bytes += after.stdout_bytes;
  sum.stderr_bytes += after.stderr_bytes;
  sum.start_us = after.start_us;
  sum.wall_us += after.wall_us;
  sum.cpu_throttled_us += after.cpu_throttled_us;
  sum.denied_calls += after.denied_calls;
  sum.processes_refused += after.processes_refused;
  sum.disk_full = before.disk_full || after.disk_full;
  sum.inodes_full = before.inodes_full || after.inodes_full;
  return sum;
}

}  // namespace tare::model
