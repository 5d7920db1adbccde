#include "sandbox/cgroup/settings.h"

#include <algorithm>

namespace tare::sandbox {

namespace {

constexpr std::uint64_t kPeriodUs = 100'000;
constexpr std::uint64_t kQuotaMinUs = 1'000;  // the kernel refuses less

// tare-init itself is one process more than what was asked for.
std::string pids_of(const model::Limits& limits) { return std::to_string(limits.pids + 1); }

std::uint64_t quota_us(const model::Limits& limits) {
  return std::max(kQuotaMinUs, limits.cpu_millis * kPeriodUs / 1000);
}

}  // namespace

std::vector<CgroupSetting> cgroup_settings(const model::Limits& limits, CgroupVersion version) {
  const std::string memory = std::to_string(limits.memory_bytes);
  const std::string quota = std::to_string(quota_us(limits));
  const std::string period = std::to_string(kPeriodUs);
  if (version == CgroupVersion::v2) {
    return {
        {"memory", "memory.max", memory},
        {"memory", "memory.swap.max", "0", Presence::with_swap},
        {"memory", "memory.oom.group", "1"},
        {"pids", "pids.max", pids_of(limits)},
        {"cpu", "cpu.max", quota + " " + period},
    };
  }
  return {
      {"memory", "memory.limit_in_bytes", memory},
      // Memory and swap together: equal to the limit means no swap. After limit_in_bytes, which it
      // may not undercut.
      {"memory", "memory.memsw.limit_in_bytes", memory, Presence::with_swap},
      {"memory", "memory.swappiness", "0", Presence::implied},
      {"pids", "pids.max", pids_of(limits)},
      {"cpu", "cpu.cfs_period_us", period},
      {"cpu", "cpu.cfs_quota_us", quota},
  };
}

bool has_swap(std::string_view proc_swaps) {
  const std::size_t first = proc_swaps.find('\n');
  return first != std::string_view::npos && first + 1 < proc_swaps.size();
}

}  // namespace tare::sandbox
