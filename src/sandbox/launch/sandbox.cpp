#include "sandbox/launch/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "sandbox/rootfs/scratch.h"
#include "sys/files.h"
#include "sys/mountfs.h"
#include "sys/seqpacket.h"

namespace tare::sandbox {

namespace {

// v1 tells of the limit before it has killed anybody for it: looked at again so often, after so
// long.
constexpr int kOomLooks = 50;
constexpr std::uint64_t kOomLookUs = 20'000;

// How long tare-init may take to reap what it has killed before the cgroup is killed from outside.
constexpr std::uint64_t kPatienceUs = 5'000'000;

// The folder is the unprivileged daemon's: nothing it puts in the way may lead elsewhere.
Result<sys::UniqueFd> input_of(int runs_dir, const std::string& run) {
  const sys::UniqueFd folder = TRY(
      sys::open_beneath(runs_dir, run + "/input", O_PATH | O_DIRECTORY));
  sys::UniqueFd tree = TRY(sys::clone_tree(folder.get(), "", false));
  TRY(sys::restrict_mount(tree.get(), {.read_only = true, .noexec = false}, false));
  return tree;
}

}  // namespace

std::uint64_t monotonic_us() { return RealClock().monotonic_us(); }

std::string Sandbox::cgroup_name() const {
  return "s" + std::to_string(slot().index) + "-" + std::to_string(slot().generation);
}

void Sandbox::claim(Claim claim) {
  CHECK(!claimed());
  CHECK(claim.fds.size() == claim.message.descriptors());  // the protocol has counted them
  stdout_read_ = std::move(claim.fds[3]);
  stderr_read_ = std::move(claim.fds[5]);
  if (claim.message.with_stdin) stdin_write_ = std::move(claim.fds[8]);
  if (claim.message.with_report)
    report_read_ = std::move(claim.fds[claim.message.first_of_report()]);
  order_fds_ = std::move(claim.fds);
  message_ = std::move(claim.message);
  received_us_ = claim.received_us;
  tries_ = claim.tries;
  warm_ = prepared_;
}

Claim Sandbox::give_back_claim() {
  Claim claim{*std::exchange(message_, std::nullopt), std::move(order_fds_), received_us_,
              tries_ + 1};
  claim.fds[3] = std::move(stdout_read_);
  claim.fds[5] = std::move(stderr_read_);
  if (claim.message.with_stdin) claim.fds[8] = std::move(stdin_write_);
  if (claim.message.with_report)
    claim.fds[claim.message.first_of_report()] = std::move(report_read_);
  return claim;
}

Result<> Sandbox::made(const CgroupRoot& cgroups, const Made& made,
                       std::vector<sys::UniqueFd> fds) {
  if (made.pid > 0 && !fds.empty()) {
    init_ = sys::Child(static_cast<pid_t>(made.pid), std::move(fds[0]));
  }
  if (!made.error.empty()) return Error{Errc::internal, made.error};
  const std::size_t all = base_.output_in_root ? 5 : 4;
  if (fds.size() != all || !is_made())
    return Error{Errc::internal, "a maker's answer is incomplete"};
  control_ = std::move(fds[1]);
  scratch_ = std::move(fds[2]);
  cgroup_.emplace(Cgroup::adopt(cgroups, cgroup_name(), std::move(fds[3])));
  if (base_.output_in_root) output_ = std::move(fds[4]);
  return ok();
}

// What the claim asks for and the sandbox was not made with.
Result<> Sandbox::arm() {
  const model::Limits& wanted = message_->base.limits;
  TRY(cgroup_->rearm(base_.limits, wanted));
  const bool resized = wanted.disk_bytes != base_.limits.disk_bytes ||
                       wanted.disk_inodes != base_.limits.disk_inodes;
  if (resized) TRY(resize_scratch(scratch_.get(), wanted));
  base_.limits = wanted;
  return ok();
}

Result<> Sandbox::begin(const ClaimTools& tools) {
  CHECK(claimed() && is_made() && !begun_);
  begun_ = true;
  TRY(arm());
  std::vector<int> fds = {order_fds_[1].get(), order_fds_[2].get(),
                          message_->with_stdin ? order_fds_[7].get() : tools.null,
                          order_fds_[4].get(), order_fds_[6].get()};
  sys::UniqueFd input;
  if (message_->with_input) {
    input = TRY(input_of(tools.runs_dir, message_->id).context("input"));
    fds.push_back(input.get());
  }
  const char* byte = &kOrderByte;
  if (message_->with_report) {
    byte = &kOrderWithReportByte;
    fds.push_back(order_fds_[message_->first_of_report() + 1].get());
  }
  auto sent = control_.valid() ? sys::send_message(control_.get(), {byte, 1}, fds) : ok();
  unread_ = !control_.valid() || (!sent && sent.error().sys == EPIPE);
  if (unread_) return ok();  // its end comes at once
  return std::move(sent).context("tare-init");
}

Result<> Sandbox::exec(const ClaimTools& tools, const ExecMessage& message,
                       std::vector<sys::UniqueFd> fds) {
  CHECK(live());
  return execs_.start(control_.get(), tools.null, message, std::move(fds), monotonic_us());
}

bool Sandbox::on_control(Told& tell) {
  if (!control_.valid()) return false;
  auto message = sys::receive_message(control_.get(), sizeof(Report) + 1);
  if (!message && message.error().sys == EAGAIN) return false;
  if (!message && message.error().sys == ECONNRESET) {
    // unix(7): it was closed with something unread. Told once; what it has said comes after it.
    unread_ = begun_;
    return true;
  }
  if (!message || !message->has_value()) {
    control_.reset();  // closed: the pidfd tells the rest
    return false;
  }
  const std::optional<Report> report = parse_report((*message)->bytes);
  if (report && is_exec_report(report->kind)) {
    on_exec_report(*report, std::move((*message)->fds), tell);
  } else if (report && (*message)->fds.empty()) {
    tell.message = on_report(*report);
  } else if (const std::optional<DeniedReport> denied = parse_denied((*message)->bytes);
             denied && (*message)->fds.empty()) {
    tell.message = on_denied(*denied);
  } else {
    end(model::EndReason::daemon_error);
  }
  return true;
}

void Sandbox::on_exec_report(const Report& report, std::vector<sys::UniqueFd> fds, Told& tell) {
  if (!live()) return;  // its end is decided, and that of its execs with it
  auto told = execs_.on_report(id(), report, std::move(fds), monotonic_us());
  if (!told) return end(model::EndReason::daemon_error);
  if (told->started) tell.message = std::move(*told->started);
  if (told->ended) tell.message = std::move(*told->ended);
  tell.terminal = told->terminal;
}

std::optional<FromLauncher> Sandbox::on_report(const Report& report) {
  const bool early = report.kind == ReportKind::prepared ||
                     (report.kind == ReportKind::step_failed && !prepared_);
  const bool in_order = !report_ &&
                        (early ? !prepared_
                               : begun_ && (report.kind == ReportKind::ended) == started());
  if (!in_order) {
    end(model::EndReason::daemon_error);
    return std::nullopt;
  }
  if (report.kind == ReportKind::prepared) {
    prepared_ = true;
    cgroup_->read_usage(spent_);
    return std::nullopt;
  }
  if (report.kind == ReportKind::started) {
    // A hostile clock could lie before the launch or in the future: what is shown is bounded by our
    // own.
    order_fds_.clear();
    started_us_ = std::clamp(report.at_ns / 1000, received_us_ + 1,
                             std::max(monotonic_us(), received_us_ + 1));
    if (base_.limits.time_ms > 0) deadline_us_ = started_us_ + base_.limits.time_ms * 1000;
    gate_us_ = std::min(report.gate_ns / 1000, started_us_ - received_us_);
    return StartedMessage{id(), started_us_ - received_us_ - gate_us_, gate_us_, warm_};
  }
  report_ = report;
  deadline_us_ = monotonic_us() + kPatienceUs;
  return std::nullopt;
}

std::optional<FromLauncher> Sandbox::on_denied(const DeniedReport& report) {
  if (report_ || !started() || !denied_.take(report)) {
    end(model::EndReason::daemon_error);
    return std::nullopt;
  }
  return DeniedMessage{id(), report.call(), report.count};
}

std::vector<DeniedMessage> Sandbox::denied() const {
  std::vector<DeniedMessage> all;
  for (const auto& [call, count] : denied_.counts()) all.push_back({id(), call, count});
  return all;
}

void Sandbox::on_oom() {
  cgroup_->see_oom();
  if (ended()) return;
  // Without a kill it was a notification alone (v2 also tells of memory.high and the like).
  oom_looks_ = 0;
  look_for_oom_kill();
}

void Sandbox::look_for_oom_kill() {
  oom_look_us_ = 0;
  if (cgroup_->oom_kills() > 0) return end(model::EndReason::memory_limit);
  if (++oom_looks_ < kOomLooks) oom_look_us_ = monotonic_us() + kOomLookUs;
}

void Sandbox::on_deadline() {
  if (oom_look_us_ > 0 && oom_look_us_ <= monotonic_us()) {
    look_for_oom_kill();
    if (deadline_us_ == 0 || deadline_us_ > monotonic_us()) return;
  }
  if (report_ || cause_) {
    if (cgroup_) (void)cgroup_->kill();
    (void)init_.signal(SIGKILL);
    deadline_us_ = monotonic_us() + kPatienceUs;
    return;
  }
  end(model::EndReason::timeout);
}

void Sandbox::end(model::EndReason reason) {
  if (ended()) return;
  if (!cause_ && !report_) cause_ = reason;
  if (!is_made()) return;  // it is killed as soon as it is
  // PID 1 takes all others with it, at once. Not cgroup.kill: that waits for a lock of all cgroups,
  // which is held for 15 ms and more while some process is moved into a v1 hierarchy.
  (void)init_.signal(SIGKILL);
  deadline_us_ = monotonic_us() + kPatienceUs;
}

void Sandbox::fail(const Error& why) {
  if (!cause_) fault_ = why.message;
  end(model::EndReason::setup_failed);
}

EndedMessage Sandbox::finish() {
  EndedMessage message;
  if (claimed()) message.id = id();
  message.uid_base = slot().base;
  auto status = Result<sys::ExitStatus>(sys::ExitStatus{true, SIGKILL});
  if (is_made()) {
    read_io(message.usage);
    // tare-init has reaped all others before it said so. It is not believed: it is killed, and with
    // it, whatever it said, the last process of its namespace.
    if (told_end()) (void)init_.signal(SIGKILL);
    if (!told_end()) status = init_.wait(nullptr);
  }
  message.outcome = decide(status ? *status : sys::ExitStatus{true, SIGKILL});
  if (report_ && report_->kind == ReportKind::step_failed) {
    message.failed_step = report_->step;
    message.in_base = !prepared_;
    message.never_began = !cause_ && prepared_ && report_->error == kGateClosed;
  }
  read_usage(message.usage);
  execs_.clear();
  cgroup_.reset();  // a maker kills what could be left in it, and removes it
  control_.reset();
  stdin_write_.reset();
  order_fds_.clear();
  deadline_us_ = oom_look_us_ = 0;
  message.with_output = output().valid();
  ended_ = message;
  return message;
}

void Sandbox::reap() { (void)init_.wait(nullptr); }

void Sandbox::read_usage(model::Usage& usage) const {
  if (!cgroup_) return;
  cgroup_->read_usage(usage);
  usage.cpu_us -= std::min(usage.cpu_us, spent_.cpu_us);
  usage.cpu_throttled_us -= std::min(usage.cpu_throttled_us, spent_.cpu_throttled_us);
  if (!started()) return;
  read_space(scratch_.get(), usage);
  const std::uint64_t now = monotonic_us();
  usage.start_us = started_us_ - received_us_ - gate_us_;
  usage.wall_us = std::clamp(told_end() ? report_->at_ns / 1000 : now, started_us_, now) -
                  started_us_;
}

model::Outcome Sandbox::from_report(const Report& report) const {
  using model::EndReason;
  // What the step was is tared's to say: it has the plans.
  const std::string why = sys_error(report.error, "").message.substr(2);
  const std::string text = report.step == 0 ? "starting the program: " + why : why;
  switch (report.kind) {
    case ReportKind::step_failed: return {EndReason::setup_failed, 0, 0, text};
    case ReportKind::not_executed:
      if (report.error == ENOENT) return {EndReason::not_found, 0, 0, "program not found"};
      if (report.error == ENOEXEC) {
        return {EndReason::not_executable, 0, 0, "not a program, or its interpreter is missing"};
      }
      return {EndReason::not_executable, 0, 0, sys_error(report.error, "execve").message};
    case ReportKind::ended:
      if (report.signalled == 0) return {EndReason::exited, report.status, 0, ""};
      return {EndReason::signalled, 0, report.status, ""};
    case ReportKind::started:
    case ReportKind::prepared:
    case ReportKind::exec_started:
    case ReportKind::exec_failed:
    case ReportKind::exec_ended: break;
  }
  return {EndReason::daemon_error, 0, 0, "tare-init reported nonsense"};
}

model::Outcome Sandbox::decide(const sys::ExitStatus& init) const {
  using model::EndReason;
  const bool out_of_memory = cgroup_ && cgroup_->oom_kills() > 0;
  if (report_) {
    // The limit ends the whole run, on v1 as on v2: there the kernel kills one process, and the
    // program may have ended of that before we could.
    if (out_of_memory && report_->kind != ReportKind::not_executed)
      return {EndReason::memory_limit, 0, SIGKILL, ""};
    return from_report(*report_);
  }
  if (out_of_memory) return {EndReason::memory_limit, 0, SIGKILL, ""};
  if (cause_ == EndReason::daemon_error)
    return {EndReason::daemon_error, 0, 0, "tare-init reported nonsense"};
  if (cause_ == EndReason::setup_failed) return {*cause_, 0, 0, fault_};
  if (cause_) return {*cause_, 0, SIGKILL, ""};
  const std::string how = init.signalled ? "was killed by signal " : "ended early with status ";
  return {EndReason::daemon_error, 0, 0, "tare-init " + how + std::to_string(init.code)};
}

// tare-init has reaped all that ran, so its counters are theirs; readable while it is a zombie.
void Sandbox::read_io(model::Usage& usage) const {
  auto text = sys::read_file_at(sys::kCwd, "/proc/" + std::to_string(init_.pid()) + "/io", 4096);
  if (!text) return;
  const auto number = [&text](std::string_view key) -> std::uint64_t {
    const std::size_t at = text->find(key);
    if (at == std::string::npos) return 0;
    std::uint64_t value = 0;
    std::from_chars(text->data() + at + key.size(), text->data() + text->size(), value);
    return value;
  };
  usage.read_bytes = number("rchar: ");
  usage.written_bytes = number("wchar: ");
}

sys::UniqueFd Sandbox::output() const {
  if (base_.output_in_root) return sys::dup_fd(output_.get()).value_or(sys::UniqueFd());
  return sys::open_beneath(scratch_.get(), "output", O_RDONLY | O_DIRECTORY)
      .value_or(sys::UniqueFd());
}

Result<sys::UniqueFd> Sandbox::dup_scratch() const { return sys::dup_fd(scratch_.get()); }

std::vector<sys::UniqueFd> Sandbox::take_remains() {
  std::vector<sys::UniqueFd> fds;
  for (sys::UniqueFd* one : {&scratch_, &output_})
    if (one->valid()) fds.push_back(std::move(*one));
  return fds;
}

std::vector<int> Sandbox::kept_pipes() const {
  std::vector<int> fds = {stdout_read_.get(), stderr_read_.get()};
  if (stdin_write_.valid()) fds.push_back(stdin_write_.get());
  if (report_read_.valid()) fds.push_back(report_read_.get());
  return fds;
}

}  // namespace tare::sandbox
