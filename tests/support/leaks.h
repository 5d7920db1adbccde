// What a launcher must not leave behind on the host once it has ended: processes, cgroups, mounts,
// loop devices, files. Looks only for things of one TARE_HOME, so that other launchers on the
// machine do not disturb it.
#pragma once

#include <string>
#include <vector>

namespace tare::testing {

// The name of the launcher's cgroup folders for a home.
std::string cgroup_tag(const std::string& home);

// Pids of all processes in a cgroup of that home.
std::vector<int> processes_of(const std::string& home);

// One line for each thing found; empty when all is clean.
std::vector<std::string> leaks_of(const std::string& home);

}  // namespace tare::testing
