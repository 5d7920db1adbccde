// What the doctor makes on the host that has a name and would outlive it: one scratch folder on the
// file system of TARE_HOME, and cgroup folders tare-doctor-<pid>. Made and taken away here. All
// else (mounts, namespaces, loop devices, processes) goes with the processes that hold it.
//
//   <home, or the nearest folder above it that exists>/.tare-doctor-<pid>/launcher/images
//
// What never happens: a folder of a living doctor of the same pid namespace, or of a launcher, is
// taken away.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace tare::sandbox {

// `person`: as usable_hierarchies() (cgroup/place.h) wants it.

// The scratch folder, mode 0700.
Result<std::string> make_place(const std::string& home, const std::string& tag);

// Everything of the doctor with this tag. Its processes have ended, or are about to.
void remove_residue(const std::string& home, const std::string& tag, std::optional<uid_t> person);

// Everything of doctors that were killed together with the process that cleans up after them.
void remove_stale_residue(const std::string& home, std::optional<uid_t> person);

}  // namespace tare::sandbox
