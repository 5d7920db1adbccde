// One check in a process of its own, with a time limit: whatever it does to itself ends with it.
#pragma once

#include <optional>

#include "sandbox/doctor/report.h"

namespace tare::sandbox {

// What was found; nullopt when `doctor` (a pipe's end) tells that nobody waits for it any more. The
// process and all it started have ended then. A check that crashes or hangs is one that failed.
std::optional<Finding> examine(const Check& check, const Host& host, int doctor);

}  // namespace tare::sandbox
