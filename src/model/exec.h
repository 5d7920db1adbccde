// An exec: a program that is started in a live sandbox, of a session or of a run, beside whatever
// else runs there. It has a number within its run, its own stdio or terminal, and an end of its own
// or that of its sandbox. Times are milliseconds since the Unix epoch, UTC.
//
//   starting --started--> running --ended--> ended
//      \\__________________ended______________^
//
// Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/run.h"

namespace tare::model {

// Of a terminal, in characters.
struct TerminalSize {
  static constexpr std::uint16_t kMost = 4096;
  std::uint16_t rows = 24, columns = 80;

  friend bool operator==(const TerminalSize&, const TerminalSize&) = default;
};

// What is compiled to a plan (sandbox/plan/compile.h). Ids, capabilities, filter and limits are the
// sandbox's: an exec has no more than a run's own program.
struct ExecSpec {
  std::vector<std::string> argv = {};
  std::vector<std::string> env = {};  // "NAME=value", complete
  std::string cwd = "/home/agent";
  std::optional<TerminalSize> terminal = {};  // else pipes
  bool handed_in = false;  // the program is a descriptor of ours, not a file of the sandbox
};

// What is asked for.
struct ExecRequest {
  std::vector<std::string> argv = {};
  std::vector<std::string> env = {};  // added to the run's
  std::string cwd = {};               // "" for the run's own, /home/agent
  std::optional<TerminalSize> terminal = {};
  bool with_stdin = false;  // a terminal always has it
  bool attach = false;      // a client follows: output beyond the kept log waits for it

  friend bool operator==(const ExecRequest&, const ExecRequest&) = default;
};

enum class ExecState : std::uint8_t { starting, running, ended };
std::string_view to_string(ExecState state);
Result<ExecState> exec_state_from(std::string_view text);

// Errors: Errc::invalid naming the field.
Result<> validate(const ExecRequest& request);

struct Exec {
  std::string run = {};
  std::uint32_t number = 0;  // from 1
  ExecRequest request = {};
  ExecState state = ExecState::starting;
  std::uint64_t created_ms = 0, started_ms = 0, ended_ms = 0;
  std::optional<Outcome> outcome = {};
  bool log_cut = false;

  friend bool operator==(const Exec&, const Exec&) = default;
};

}  // namespace tare::model
