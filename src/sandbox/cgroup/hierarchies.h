// Which cgroup file systems this host has, and which of them limits what. Pure parsing of
// mountinfo, so that v1, hybrid and v2 hosts are all tested here; opening is cgroup.h's. Sources:
// proc_pid_mountinfo(5), cgroups(7).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tare::sandbox {

// One mounted hierarchy.
struct Hierarchy {
  std::string path;                      // where it is mounted
  bool unified = false;                  // cgroup2
  std::vector<std::string> controllers;  // of v1; for the unified one what cgroup.controllers says

  bool has(std::string_view controller) const;
  friend bool operator==(const Hierarchy&, const Hierarchy&) = default;
};

// All hierarchies in the text of /proc/self/mountinfo. The unified one comes without controllers.
std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo);

// Those a sandbox needs: for each of memory, pids, cpu, cpuacct the hierarchy that has it, and the
// unified one (for cgroup.kill) or, without it, the v1 freezer. Errc::unavailable naming what is
// missing and the fix.
Result<std::vector<Hierarchy>> needed_hierarchies(const std::vector<Hierarchy>& mounted);

}  // namespace tare::sandbox
