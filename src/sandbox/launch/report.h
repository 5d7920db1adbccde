// What tare-init tells the launcher, over the socket it was born with: fixed-size packets.
// tare-init shares a sandbox with hostile code, so the launcher takes every report for hostile
// input: a wrong size, magic or kind, a report out of order, and it kills the sandbox.
//
//   launcher                     tare-init
//   "g" (before exec: ids are mapped, cgroups attached)
//   base + fd: base plan
//                                prepared | step_failed
//   order + fds: plan, gate, stdin, stdout, stderr, [input], [report]
//                                started | step_failed | not_executed
//                                denied, as often as there is something new to tell
//                                ended (after `started`), when it has killed and reaped what was
//                                left; then it exits; of a session never
//   after `started`, any number of times, for numbers that are not in use:
//   Command exec + fds: plan, [program], [stdin, stdout, stderr unless it has a terminal]
//                                exec_started [+ fd: the terminal's master] | exec_failed
//                                exec_ended (after exec_started)
//   Command signal
//
// Shared with tare-init: no allocation, plain values only.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "sandbox/seccomp/denied.h"

namespace tare::sandbox {

enum class ReportKind : std::uint32_t {
  step_failed = 1,  // step, error: a step of the plan; nothing of the agent has run
  not_executed,     // error: execve failed
  started,          // at_ns
  ended,            // signalled, status, at_ns
  prepared,         // the base plan is applied
  exec_started,     // exec, at_ns
  exec_failed,      // exec, step, error: nothing of it has run; step of `execute`: execve itself
  exec_ended,       // exec, signalled, status, at_ns
};
inline constexpr std::uint32_t kLastReportKind = 8;
constexpr bool is_exec_report(ReportKind kind) { return kind >= ReportKind::exec_started; }

struct Report {
  std::uint32_t magic = kMagic;
  ReportKind kind = ReportKind::step_failed;
  std::uint32_t step = 0;  // from 1; 0: no step, but the start of the program's process
  std::int32_t error = 0;  // errno
  std::uint32_t signalled = 0;
  std::int32_t status = 0;      // exit code or signal
  std::uint64_t at_ns = 0;      // CLOCK_MONOTONIC
  std::uint64_t gate_ns = 0;    // of `started`: how long the program waited at the gate
  std::uint32_t exec = 0;       // of exec_...: its number
  std::uint32_t executing = 0;  // of exec_failed: 1 when it was execve that failed

  static constexpr std::uint32_t kMagic = 0x50524154;  // "TARP"
};
static_assert(sizeof(Report) == 48);

inline std::optional<Report> parse_report(std::string_view bytes) {
  Report report;
  if (bytes.size() != sizeof report) return std::nullopt;
  std::memcpy(&report, bytes.data(), sizeof report);
  const auto kind = static_cast<std::uint32_t>(report.kind);
  const bool good = report.magic == Report::kMagic && kind >= 1 && kind <= kLastReportKind &&
                    report.signalled <= 1 && report.status >= 0 && report.status <= 255 &&
                    report.error >= 0 && report.error < 4096 && report.executing <= 1;
  return good ? std::optional(report) : std::nullopt;
}

// Distinct calls that are told of one sandbox; the last one stands for all others together.
inline constexpr int kMaxDeniedCalls = 32;

struct DeniedReport {
  std::uint32_t magic = kMagic;
  std::uint32_t abi = 0;  // CallAbi
  std::uint32_t number = 0;
  std::uint32_t spare = 0;
  std::uint64_t count = 0;  // so far; each report of a call has a larger one

  static constexpr std::uint32_t kMagic = 0x44524154;  // "TARD"

  static DeniedReport of(const DeniedCall& call, std::uint64_t count) {
    return {kMagic, static_cast<std::uint32_t>(call.abi), call.number, 0, count};
  }
  DeniedCall call() const { return {static_cast<CallAbi>(abi), number}; }
};
static_assert(sizeof(DeniedReport) == 24 && sizeof(DeniedReport) < sizeof(Report));

inline std::optional<DeniedReport> parse_denied(std::string_view bytes) {
  DeniedReport report;
  if (bytes.size() != sizeof report) return std::nullopt;
  std::memcpy(&report, bytes.data(), sizeof report);
  const bool good = report.magic == DeniedReport::kMagic && report.spare == 0 && report.count > 0 &&
                    report.abi <= static_cast<std::uint32_t>(CallAbi::other);
  return good ? std::optional(report) : std::nullopt;
}

enum class CommandKind : std::uint32_t { exec = 1, signal };

// What the launcher tells tare-init after `started`. One packet, descriptors beside it.
struct Command {
  std::uint32_t magic = kMagic;
  CommandKind kind = CommandKind::exec;
  std::uint32_t exec = 0;  // its number
  std::uint32_t
      argument = 0;  // of exec: kExec... flags; of signal: which. SIGKILL ends its session

  static constexpr std::uint32_t kMagic = 0x43524154;  // "TARC"
};
static_assert(sizeof(Command) == 16);
inline constexpr std::uint32_t kExecTerminal = 1, kExecHandedIn = 2;  // of Command::argument
// Execs in one sandbox at once, those of file operations included.
inline constexpr std::uint32_t kMostExecs = 80;

inline constexpr char kGoByte = 'g';
// The error of the step `execute` when the gate has closed; execve has no such.
inline constexpr std::int32_t kGateClosed = 125;  // ECANCELED
inline constexpr char kBaseByte = 'b';
inline constexpr char kOrderByte = 'o';
inline constexpr char kOrderWithReportByte = 'r';  // the last descriptor is the report's
inline constexpr int kControlFd = 3;               // of tare-init, from birth

}  // namespace tare::sandbox
