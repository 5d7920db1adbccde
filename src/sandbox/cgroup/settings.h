// Limits as cgroup files and values: pure. One list for v2, one for v1; both arm the same limits.
// Sources: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{memory,pids,cpusets}.rst,
// scheduler/sched-bwc.rst.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/limits.h"

namespace tare::sandbox {

enum class CgroupVersion : std::uint8_t { v1, v2 };

struct CgroupSetting {
  std::string_view controller;  // "memory", "pids", "cpu"
  std::string_view file;
  std::string value;
  bool required = true;  // false: absent on some kernels, and implied by another setting there

  friend bool operator==(const CgroupSetting&, const CgroupSetting&) = default;
};

// In the order in which they must be written.
std::vector<CgroupSetting> cgroup_settings(const model::Limits& limits, CgroupVersion version);

}  // namespace tare::sandbox
