// The exit statuses of `tare`: one table. `tare run` and `tare logs -f` exit with the program's own
// status (model::exit_status_of); everything else, and they too when there is no such status, exits
// by this table. Numbers from 64 on are those of sysexits(3).
#pragma once

#include "base/error.h"

namespace tare::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;  // `tare doctor`: something is missing
inline constexpr int kExitUsage = 64;   // the command line, or a request that was refused as wrong
inline constexpr int kExitNotFound = 66;     // no such run, agent, environment, file
inline constexpr int kExitUnavailable = 69;  // no daemon, or it is not ready, or it lacks something
inline constexpr int kExitSoftware = 70;     // our own fault
inline constexpr int kExitConflict = 73;     // the state does not allow it now
inline constexpr int kExitTemporary = 75;    // a limit or a deadline: may work later
inline constexpr int kExitDenied = 77;       // not allowed
inline constexpr int
    kExitTare = 125;  // the run failed through Tare's own fault (model::exit_status_of)
inline constexpr int kExitInterrupted = 130;  // Ctrl-C; other signals exit with 128 + number
inline constexpr int kExitBrokenPipe = 141;   // nobody reads our output any more (128 + SIGPIPE)

constexpr int exit_status_of(Errc code) {
  switch (code) {
    case Errc::invalid: return kExitUsage;
    case Errc::not_found: return kExitNotFound;
    case Errc::denied: return kExitDenied;
    case Errc::conflict: return kExitConflict;
    case Errc::exhausted:
    case Errc::timeout: return kExitTemporary;
    case Errc::unavailable: return kExitUnavailable;
    case Errc::cancelled: return kExitInterrupted;
    case Errc::internal: return kExitSoftware;
  }
  return kExitSoftware;
}

}  // namespace tare::cli
