// A secret's value as people give it: from a file, a pipe, or typed at a terminal that does not
// show it.
//
// Owner: one command. Errors: Errc::invalid for a value that is empty or too long; Errc::cancelled
// on Ctrl-C, after the terminal is what it was. What never happens: a terminal is left without echo
// by SIGINT, SIGTERM or SIGHUP; a core dump of this process (it is not dumpable from then on).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/app.h"

namespace tare::cli {

// What may be given: a secret of the vault, a canary.
struct SecretKind {
  std::string_view what;  // "a secret"
  std::size_t min_bytes, max_bytes;
};
inline constexpr SecretKind kVaultSecret = {"a secret", 1, std::size_t{64} << 10};
inline constexpr SecretKind kCanary = {"a canary", 16, 4096};

// `name` is what is asked for at a terminal; `file`: "" for stdin. Without one line end ("\n" or
// "\r\n") at its end: that is the editor's or echo's. A value that is too short is tared's to
// judge.
Result<std::string> read_secret_value(const SecretKind& kind, const std::string& name,
                                      const std::string& file, App& app, const fiber::Context& ctx);

}  // namespace tare::cli
