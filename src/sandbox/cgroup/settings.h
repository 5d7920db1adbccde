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

// When the file may be absent: never; where the host swaps nothing out; always, as another setting
// implies it.
enum class Presence : std::uint8_t { always, with_swap, implied };

struct CgroupSetting {
  std::string_view controller;  // "memory", "pids", "cpu"
  std::string_view file;
  std::string value;
  Presence need = Presence::always;

  friend bool operator==(const CgroupSetting&, const CgroupSetting&) = default;
};

// In the order in which they must be written.
std::vector<CgroupSetting> cgroup_settings(const model::Limits& limits, CgroupVersion version);

// From the text of /proc/swaps (proc(5)): a line of titles, and one for each place to swap to.
bool has_swap(std::string_view proc_swaps);

}  // namespace tare::sandbox
