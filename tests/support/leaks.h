// What a launcher must not leave behind on the host once it has ended: processes, cgroups, mounts,
// loop devices, files. Looks only for things of one TARE_HOME, so that other launchers on the
// machine do not disturb it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tare::testing {

// The name of the launcher's cgroup folders for a home.
std::string cgroup_tag(const std::string& home);

// Pids of all processes in a cgroup of that home.
std::vector<int> processes_of(const std::string& home);

// The cgroups of its sandboxes, in all hierarchies.
std::vector<std::string> sandbox_cgroups_of(const std::string& home);

// Loop devices of files on the file system of the home. By the file and not by its name, which says
// nothing once the launcher's mount namespace is gone; so for a home on a mount of its own.
std::vector<std::string> loops_on_file_system_of(const std::string& home);

// Network namespaces of the machine that no process is in: kept by a descriptor, a mount, or a
// mistake. The kernel frees one a moment after its last process. Absent where it does not count.
std::optional<int> empty_net_namespaces();
// Makes one, and leaves it: from 6.13 on the kernel frees those that it has taken down together
// only when it has taken down the next ones, and until then they count.
void leave_a_net_namespace();

// One line for each thing found; empty when all is clean.
std::vector<std::string> leaks_of(const std::string& home);

}  // namespace tare::testing
