#include "host/outcome_text.h"

#include <array>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/bytes.h"
#include "base/text.h"
#include "sandbox/plan/render.h"

namespace tare::host {

namespace {

std::string signal_text(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal)
                         : fmt::format("signal {} (SIG{})", signal, name);
}

std::string setup_text(const model::Outcome& outcome, const std::vector<sandbox::Step>& steps,
                       std::uint32_t failed_step) {
  if (failed_step == 0 || failed_step > steps.size()) return outcome.message;
  return fmt::format("step {} ({}): {}", failed_step, sandbox::render_step(steps[failed_step - 1]),
                     outcome.message);
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::pair<std::uint64_t, std::string_view>, 4> kUnits = {
      {{kTiB, "TiB"}, {kGiB, "GiB"}, {kMiB, "MiB"}, {kKiB, "KiB"}}};
  for (const auto& [unit, name] : kUnits) {
    if (bytes >= unit && bytes % unit == 0) return fmt::format("{} {}", bytes / unit, name);
  }
  return fmt::format("{} bytes", bytes);
}

std::string time_text(std::uint64_t ms) {
  if (ms < 1000) return fmt::format("{} ms", ms);
  const std::uint64_t minutes = ms / 60'000;
  const std::uint64_t rest_ms = ms % 60'000;
  const std::string seconds = rest_ms % 1000 == 0
                                  ? fmt::format("{} s", rest_ms / 1000)
                                  : fmt::format("{}.{:03} s", rest_ms / 1000, rest_ms % 1000);
  if (minutes == 0) return seconds;
  return rest_ms == 0 ? fmt::format("{} min", minutes) : fmt::format("{} min {}", minutes, seconds);
}

model::Outcome as_of_caller(model::Outcome outcome, const std::vector<sandbox::Step>& steps,
                            std::uint32_t failed_step) {
  if (outcome.reason != model::EndReason::setup_failed || failed_step == 0 ||
      failed_step > steps.size() || steps[failed_step - 1].op != sandbox::Op::working_dir)
    return outcome;
  outcome.reason = model::EndReason::not_executable;
  outcome.message = fmt::format("{}: {}", sandbox::render_step(steps[failed_step - 1]),
                                outcome.message);
  return outcome;
}

std::string outcome_text(const model::Outcome& outcome, const model::RunRequest& request,
                         const std::vector<sandbox::Step>& steps, std::uint32_t failed_step) {
  using model::EndReason;
  const std::string program = request.argv.empty() ? std::string() : quote(request.argv.front());
  switch (outcome.reason) {
    case EndReason::exited:
      return outcome.exit_code == 0 ? std::string()
                                    : fmt::format("exited with status {}", outcome.exit_code);
    case EndReason::signalled: return "ended by " + signal_text(outcome.signal);
    case EndReason::timeout:
      if (request.session)
        return fmt::format("the session ended after {} (limit time)",
                           time_text(request.limits.time_ms));
      return fmt::format("timed out after {} (limit time)", time_text(request.limits.time_ms));
    case EndReason::killed:
      return request.session ? "the session was ended on request" : "killed on request";
    case EndReason::memory_limit:
      return fmt::format("memory limit of {} reached", size_text(request.limits.memory_bytes));
    case EndReason::output_limit:
      return fmt::format("output limit of {} reached", size_text(request.limits.output_bytes));
    case EndReason::not_found: return "program not found: " + program;
    case EndReason::not_executable:
      return fmt::format("cannot execute {}: {}", program, outcome.message);
    case EndReason::setup_failed: return setup_text(outcome, steps, failed_step);
    case EndReason::launcher_lost:
      return outcome.message.empty() ? "tare-launcher ended; its sandboxes ended with it"
                                     : outcome.message;
    case EndReason::daemon_error: return outcome.message;
  }
  return outcome.message;
}

std::string limits_text(const model::Usage& usage, const model::Limits& limits) {
  std::vector<std::string> met;
  if (usage.processes_refused > 0) {
    met.push_back(fmt::format("{} {} refused (limit pids {})", usage.processes_refused,
                              usage.processes_refused == 1 ? "fork" : "forks", limits.pids));
  }
  if (usage.disk_full)
    met.push_back(fmt::format("disk full (limit disk {})", size_text(limits.disk_bytes)));
  if (usage.inodes_full)
    met.push_back(fmt::format("no further file (limit disk_inodes {})", limits.disk_inodes));
  return fmt::format("{}", fmt::join(met, ", "));
}

}  // namespace tare::host
