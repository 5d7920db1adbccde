// What tare-init tells the launcher, over the socket it was born with: fixed-size packets.
// tare-init shares a sandbox with hostile code, so the launcher takes every report for hostile
// input: a wrong size, magic or kind, a report out of order, and it kills the sandbox.
//
//   launcher                     tare-init
//   "g" (before exec: ids are mapped, cgroups attached)
//   base + fd: base plan
//                                prepared | step_failed
//   order + fds: plan, gate, stdin, stdout, stderr, [input]
//                                started | step_failed | not_executed
//                                ended (after `started`), then it kills what is left, reaps, and
//                                exits
//
// Shared with tare-init: no allocation, plain values only.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace tare::sandbox {

enum class ReportKind : std::uint32_t {
  step_failed = 1,  // step, error: a step of the plan; nothing of the agent has run
  not_executed,     // error: execve failed
  started,          // at_ns
  ended,            // signalled, status, at_ns
  prepared,         // the base plan is applied
};

struct Report {
  std::uint32_t magic = kMagic;
  ReportKind kind = ReportKind::step_failed;
  std::uint32_t step = 0;  // from 1; 0: no step, but the start of the program's process
  std::int32_t error = 0;  // errno
  std::uint32_t signalled = 0;
  std::int32_t status = 0;    // exit code or signal
  std::uint64_t at_ns = 0;    // CLOCK_MONOTONIC
  std::uint64_t gate_ns = 0;  // of `started`: how long the program waited at the gate

  static constexpr std::uint32_t kMagic = 0x50524154;  // "TARP"
};
static_assert(sizeof(Report) == 40);

inline std::optional<Report> parse_report(std::string_view bytes) {
  Report report;
  if (bytes.size() != sizeof report) return std::nullopt;
  std::memcpy(&report, bytes.data(), sizeof report);
  const auto kind = static_cast<std::uint32_t>(report.kind);
  const bool good = report.magic == Report::kMagic && kind >= 1 && kind <= 5 &&
                    report.signalled <= 1 && report.status >= 0 && report.status <= 255 &&
                    report.error >= 0 && report.error < 4096;
  return good ? std::optional(report) : std::nullopt;
}

inline constexpr char kGoByte = 'g';
// The error of the step `execute` when the gate has closed; execve has no such.
inline constexpr std::int32_t kGateClosed = 125;  // ECANCELED
inline constexpr char kBaseByte = 'b';
inline constexpr char kOrderByte = 'o';
inline constexpr int kControlFd = 3;  // of tare-init, from birth

}  // namespace tare::sandbox
