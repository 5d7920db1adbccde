// What went wrong, as a value: a kind the caller can act on, a message a person can act on, and the
// errno where the kernel said no. Errors are returned, never thrown, across our interfaces (see
// result.h).
//
// Owner: whoever received it. Threads: a plain value. Messages never contain a secret, and name the
// field or object at fault and, where one exists, the fix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tare {

// The kinds a caller can tell apart. Mapped to an HTTP status in one table only (api/errors.cpp)
// and to a process exit status in one table only (cli/exit_status.h).
enum class Errc : std::uint8_t {
  invalid,      // the request itself is wrong; repeating it cannot help
  not_found,    // the named thing does not exist
  denied,       // it exists, but not for this caller
  conflict,     // the state does not allow it now (already exists, already ended)
  exhausted,    // a limit was reached
  timeout,      // a deadline passed
  unavailable,  // a peer or a kernel feature is not there; may work later or elsewhere
  cancelled,    // somebody asked for it to stop
  internal,     // our own fault, or the machine's
};

// "invalid", "not_found", ...: the spelling used in JSON and logs.
std::string_view to_string(Errc code);

struct [[nodiscard]] Error {
  Errc code = Errc::internal;
  std::string message;
  int sys = 0;             // errno, or 0 where the kernel was not involved
  std::string field = {};  // path of the input field at fault ("limits.pids"), or ""

  // Puts what was being attempted in front: "cgroup limit: open memory.max: No such file or
  // directory".
  Error context(std::string_view what) &&;
};

// An error from errno. `what` names the call and its object ("open /etc/x"); the text of errno is
// appended. The kind follows from errno: ENOENT is not_found, EACCES and EPERM denied, ENOSPC
// exhausted, and so on.
Error sys_error(int error, std::string_view what);

// Errc::invalid about one field: the message is "<field>: <why>", and `field` is set.
Error field_error(std::string_view field, std::string_view why);

}  // namespace tare
