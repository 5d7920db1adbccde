#include "sandbox/launch/execs.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::sandbox {

namespace {

// Linux Documentation/admin-guide/devices.txt: /dev/ptmx. Only a kernel makes such a descriptor,
// and nobody inside may make the node.
constexpr unsigned kPtmxMajor = 5, kPtmxMinor = 2;

bool is_terminal_master(int fd) {
  const auto status = sys::stat_fd(fd);
  return status && S_ISCHR(status->st_mode) && status->st_rdev == makedev(kPtmxMajor, kPtmxMinor);
}

std::string_view bytes_of(const Command& command) {
  return {reinterpret_cast<const char*>(&command), sizeof command};
}

// Why execve, or a step before it, failed.
model::Outcome outcome_of_failure(const Report& report) {
  using model::EndReason;
  const std::string why = sys_error(report.error, "").message.substr(2);
  if (report.executing == 0) {
    return {EndReason::setup_failed, 0, 0, report.step == 0 ? "starting the program: " + why : why};
  }
  if (report.error == ENOENT) return {EndReason::not_found, 0, 0, "program not found"};
  if (report.error == ENOEXEC)
    return {EndReason::not_executable, 0, 0, "not a program, or its interpreter is missing"};
  return {EndReason::not_executable, 0, 0, why};
}

}  // namespace

Result<> Execs::start(int control, int null, const ExecMessage& message,
                      std::vector<sys::UniqueFd> fds, std::uint64_t now_us) {
  CHECK(fds.size() == message.descriptors() && !knows(message.exec));
  if (execs_.size() >= kMostExecs)
    return Error{Errc::exhausted,
                 std::to_string(kMostExecs) + " execs are in this sandbox already"};
  Command command;
  command.exec = message.exec;
  command.argument = (message.terminal ? kExecTerminal : 0) |
                     (message.handed_in ? kExecHandedIn : 0);
  const std::size_t first = message.handed_in ? 2 : 1;  // of stdio
  std::vector<int> given = {fds[0].get()};
  if (message.handed_in) given.push_back(fds[1].get());
  Exec exec;
  exec.message = message;
  exec.received_us = now_us;
  if (message.transient) {
    given.insert(given.end(), {fds[first].get(), fds[first + 1].get(), null});
  } else if (!message.terminal) {
    given.insert(given.end(), {message.with_stdin ? fds[first + 4].get() : null,
                               fds[first + 1].get(), fds[first + 3].get()});
    exec.stdout_read = std::move(fds[first]);
    exec.stderr_read = std::move(fds[first + 2]);
    if (message.with_stdin) exec.stdin_write = std::move(fds[first + 5]);
  }
  TRY(sys::send_message(control, bytes_of(command), given).context("tare-init"));
  execs_.emplace(message.exec, std::move(exec));
  return ok();
}

void Execs::signal(int control, const ExecSignalMessage& message) {
  const auto found = execs_.find(message.exec);
  if (found == execs_.end() || found->second.ended) return;
  Command command;
  command.kind = CommandKind::signal;
  command.exec = message.exec;
  command.argument = message.signal;
  // A tare-init that does not listen has ended, or is ended by its sandbox's limits.
  (void)sys::send_message(control, bytes_of(command));
}

void Execs::close_stdin(std::uint32_t number) {
  if (const auto found = execs_.find(number); found != execs_.end())
    found->second.stdin_write.reset();
}

void Execs::release(std::uint32_t number) {
  const auto found = execs_.find(number);
  if (found != execs_.end() && found->second.ended) execs_.erase(found);
}

std::optional<ExecTold> Execs::on_report(const std::string& run, const Report& report,
                                         std::vector<sys::UniqueFd> fds, std::uint64_t now_us) {
  const auto found = execs_.find(report.exec);
  if (found == execs_.end() || found->second.ended) return std::nullopt;
  Exec& exec = found->second;
  if (report.kind == ReportKind::exec_started)
    return on_started(exec, report, std::move(fds), now_us);
  if (!fds.empty() || exec.started != (report.kind == ReportKind::exec_ended)) return std::nullopt;
  ExecEndedMessage ended{run, report.exec, {}, 0};
  if (report.kind == ReportKind::exec_failed) {
    ended.outcome = outcome_of_failure(report);
    ended.failed_step = report.executing == 0 ? report.step : 0;
  } else if (report.signalled == 0) {
    ended.outcome = {model::EndReason::exited, report.status, 0, ""};
  } else {
    ended.outcome = {model::EndReason::signalled, 0, report.status, ""};
  }
  return end(report.exec, std::move(ended));
}

std::optional<ExecTold> Execs::on_started(Exec& exec, const Report& report,
                                          std::vector<sys::UniqueFd> fds, std::uint64_t now_us) {
  const std::size_t expected = exec.message.terminal ? 1 : 0;
  if (exec.started || fds.size() != expected) return std::nullopt;
  if (expected > 0) {
    if (!is_terminal_master(fds[0].get()) || !sys::set_nonblocking(fds[0].get(), true))
      return std::nullopt;
    exec.terminal = std::move(fds[0]);
  }
  exec.started = true;
  // A hostile clock could lie; what is shown is bounded by our own.
  const std::uint64_t at_us = std::clamp(report.at_ns / 1000, exec.received_us,
                                         std::max(now_us, exec.received_us));
  ExecTold told;
  told.started = ExecStartedMessage{exec.message.id, report.exec, exec.message.terminal,
                                    at_us - exec.received_us};
  told.terminal = exec.terminal.get();
  return told;
}

ExecTold Execs::end(std::uint32_t number, ExecEndedMessage message) {
  const auto found = execs_.find(number);
  ExecTold told;
  told.ended = message;
  if (found->second.message.transient) {
    execs_.erase(found);
  } else {
    found->second.stdin_write.reset();
    found->second.ended = std::move(message);
  }
  return told;
}

std::vector<Execs::Listed> Execs::list(const std::string& run) const {
  std::vector<Listed> out;
  for (const auto& [number, exec] : execs_) {
    if (exec.message.transient) continue;
    Listed listed;
    listed.message = {run, number, exec.message.terminal, exec.stdin_write.valid(), exec.started};
    if (exec.message.terminal) {
      if (exec.started) listed.fds = {exec.terminal.get()};
    } else {
      listed.fds = {exec.stdout_read.get(), exec.stderr_read.get()};
      if (exec.stdin_write.valid()) listed.fds.push_back(exec.stdin_write.get());
    }
    if (exec.ended) listed.ended = &*exec.ended;
    out.push_back(std::move(listed));
  }
  return out;
}

}  // namespace tare::sandbox
