// A secret's value as people give it: from a file, a pipe, or typed at a terminal that does not
// show it.
//
// Owner: one command. Errors: Errc::invalid for a value that is empty or too long; Errc::cancelled
// on Ctrl-C, after the terminal is what it was. What never happens: a terminal is left without echo
// by SIGINT, SIGTERM or SIGHUP; a core dump of this process (it is not dumpable from then on).
#pragma once

#include <string>

#include "base/result.h"
#include "cli/app.h"

namespace tare::cli {

inline constexpr std::size_t kMaxSecretValueBytes = std::size_t{64} << 10;

// `file`: "" for stdin. Without one "\n" at its end.
Result<std::string> read_secret_value(const std::string& name, const std::string& file, App& app,
                                      const fiber::Context& ctx);

}  // namespace tare::cli
