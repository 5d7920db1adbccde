// What one run may use. Every field is always set: a limit that was not asked for has its default
// here, and a limit that cannot be armed on this host refuses the run (never a silent skip). Pure
// values; no I/O.
#pragma once

#include <cstdint>

namespace tare::model {

struct Limits {
  // Hard cap on the memory of the whole process tree, in bytes; swap is 0. Scratch space that is
  // kept in memory (see scratch_of) counts towards it, as a tmpfs in a container does.
  std::uint64_t memory_bytes = std::uint64_t{512} << 20;
  // CPU bandwidth in thousandths of one core (1000 = one core's worth of time per period).
  // Throttles, never kills.
  std::uint32_t cpu_millis = 1000;
  // Processes and threads together.
  std::uint32_t pids = 256;
  // Everything the run can write: its root, /tmp, /home/agent and /output together. Hard: ENOSPC
  // beyond.
  std::uint64_t disk_bytes = std::uint64_t{128} << 20;
  std::uint64_t disk_inodes = 65'536;
  // stdout and stderr together; 0 = no cap (only the kept log has one, see base/limits.h).
  std::uint64_t output_bytes = 0;
  // Wall time from the first instruction; 0 = none.
  std::uint64_t time_ms = 0;
  // Open files per process (RLIMIT_NOFILE).
  std::uint32_t open_files = 1024;

  friend bool operator==(const Limits&, const Limits&) = default;
};

// The ranges that are accepted. Both ends are inclusive.
struct LimitBounds {
  static constexpr std::uint64_t kMemoryMin = std::uint64_t{8} << 20,
                                 kMemoryMax = std::uint64_t{1} << 40;
  static constexpr std::uint32_t kCpuMin = 10, kCpuMax = 1'024'000;
  static constexpr std::uint32_t kPidsMin = 1, kPidsMax = 32'768;
  static constexpr std::uint64_t kDiskMin = std::uint64_t{1} << 20,
                                 kDiskMax = std::uint64_t{1} << 42;
  static constexpr std::uint64_t kInodesMin = 64, kInodesMax = 100'000'000;
  static constexpr std::uint64_t kOutputMax = std::uint64_t{1} << 50;
  static constexpr std::uint64_t kTimeMaxMs = std::uint64_t{30} * 24 * 3600 * 1000;
  static constexpr std::uint32_t kOpenFilesMin = 16, kOpenFilesMax = 65'536;
};

// Where the writable files of a run live. `memory` is a tmpfs (cheapest; counts towards the memory
// limit), `image` an ext4 file system in a sparse file (counts towards nothing but the disk cap).
enum class Scratch : std::uint8_t { memory, image };

// A scratch space is kept in memory when filling it still leaves three quarters of the memory limit
// to the program: then the disk cap is what a program that fills its disk meets, not the memory
// cap.
constexpr Scratch scratch_of(const Limits& limits) {
  return limits.disk_bytes <= limits.memory_bytes / 4 ? Scratch::memory : Scratch::image;
}

}  // namespace tare::model
