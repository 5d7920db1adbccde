// tare-launcher --doctor --json: performs everything that sandboxes stand on, one thing after the
// other, and writes what it found to stdout (report.h). Exit status 0 when all that is required
// works, 1 when something is missing.
//
//   the doctor (waits) --> keeper (own session) --> one child a check (examine.h)
//
// Whoever of them is killed, the others leave nothing behind: a child dies with the keeper, the
// keeper cleans up and ends when the doctor is gone, the doctor cleans up when the keeper is. What
// is left when both are killed at once is swept by the next doctor.
//
// Processes: three, single-threaded. Works, and says what is missing, without root too.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace tare::sandbox {

struct DoctorOptions {
  std::string home;             // absolute; "" is kDefaultHome
  std::string user;             // tared's
  std::optional<uid_t> inside;  // as Host has it
  std::string why_not_inside;
};

inline constexpr const char* kDefaultHome = "/var/lib/tare";

// The exit status. An error when it could not be found out at all.
Result<int> run_doctor(const DoctorOptions& options);

}  // namespace tare::sandbox
