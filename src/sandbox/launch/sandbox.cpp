#include "sandbox/launch/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "sandbox/init/become_init.h"
#include "sandbox/rootfs/stage.h"
#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::sandbox {

namespace {

// How long tare-init may take to reap what it has killed before the cgroup is killed from outside.
constexpr std::uint64_t kPatienceUs = 5'000'000;

// The cgroup namespace is tare-init's own first step: made here, its root would be the launcher's
// cgroups.
constexpr std::uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                                      CLONE_NEWUTS;

}  // namespace

std::uint64_t monotonic_us() { return RealClock().monotonic_us(); }

Result<SlotLease> SlotLease::take(SlotTable& table) {
  const Slot slot = TRY(table.lease());
  return SlotLease(table, slot);
}

Result<std::unique_ptr<Sandbox>> Sandbox::launch(LaunchTools& tools, const LaunchMessage& message,
                                                 std::vector<sys::UniqueFd> fds) {
  CHECK(fds.size() == message.descriptors());  // the protocol has counted them
  const std::uint64_t received_us = monotonic_us();
  SlotLease lease = TRY(SlotLease::take(tools.slots));
  std::unique_ptr<Sandbox> sandbox(new Sandbox(std::move(lease)));
  sandbox->message_ = message;
  sandbox->received_us_ = received_us;
  TRY(sandbox->make(tools, std::move(fds)));
  return sandbox;
}

Result<> Sandbox::make(LaunchTools& tools, std::vector<sys::UniqueFd> fds) {
  const Slot& slot = lease_.slot();
  scratch_ = TRY(make_scratch(message_.limits, slot.base, tools.images));
  cgroup_.emplace(TRY(Cgroup::create(tools.cgroups, message_.id, message_.limits)));
  {
    const StageParts parts = {
        .skeleton = &tools.skeleton,
        .host = tools.host,
        .layers_dir = tools.layers_dir,
        .layers = message_.layers,
        .host_root = message_.host_root,
        .host_network = message_.network == model::Network::host,
        .slot = &slot,
        .scratch = scratch_.get(),
        .input = message_.with_input ? tools.runs_dir.get() : -1,
        .run = message_.id,
    };
    const Stage stage = TRY(Stage::build(parts));
    TRY(clone_init(tools));
  }
  TRY(write_id_maps(init_.pid(), slot.base).context("user namespace"));
  TRY(cgroup_->attach(init_.pid()));
  const int in = message_.with_stdin ? fds[5].get() : tools.null.get();
  TRY(hand_over(fds[0], in, fds[2].get(), fds[4].get()).context("tare-init"));
  stdout_read_ = std::move(fds[1]);
  stderr_read_ = std::move(fds[3]);
  if (message_.with_stdin) stdin_write_ = std::move(fds[6]);
  return ok();
}

Result<> Sandbox::clone_init(LaunchTools& tools) {
  auto [ours, theirs] = TRY(sys::seqpacket_pair());
  const std::uint64_t net = message_.network == model::Network::none ? CLONE_NEWNET : 0;
  init_ = TRY(sys::clone_child(kNamespaces | net, cgroup_->clone_into()).context("new namespaces"));
  if (!init_.valid()) become_init(theirs.get(), ours.get(), tools.init.get(), tools.null.get());
  TRY(sys::set_nonblocking(ours.get(), true));
  control_ = std::move(ours);
  return ok();
}

Result<> Sandbox::hand_over(const sys::UniqueFd& plan, int in, int out, int err) {
  TRY(sys::send_message(control_.get(), {&kGoByte, 1}));
  const std::array<int, 4> fds = {plan.get(), in, out, err};
  return sys::send_message(control_.get(), {&kOrderByte, 1}, fds);
}

std::optional<StartedMessage> Sandbox::on_control() {
  auto message = sys::receive_message(control_.get(), sizeof(Report) + 1);
  if (!message && message.error().sys == EAGAIN) return std::nullopt;
  if (!message || !message->has_value()) {
    control_.reset();  // closed: the pidfd tells the rest
    return std::nullopt;
  }
  const std::optional<Report> report = parse_report((*message)->bytes);
  const bool in_order = report && (report->kind == ReportKind::ended) == started() && !report_;
  if (!in_order) {
    end(model::EndReason::daemon_error);
    return std::nullopt;
  }
  if (report->kind == ReportKind::started) {
    // A hostile clock could lie before the launch or in the future: what is shown is bounded by our
    // own.
    started_us_ = std::clamp(report->at_ns / 1000, received_us_ + 1,
                             std::max(monotonic_us(), received_us_ + 1));
    if (message_.limits.time_ms > 0) deadline_us_ = started_us_ + message_.limits.time_ms * 1000;
    return StartedMessage{message_.id, started_us_ - received_us_};
  }
  report_ = report;
  deadline_us_ = monotonic_us() + kPatienceUs;
  return std::nullopt;
}

void Sandbox::on_oom() {
  // Without a kill it was a notification alone (v2 also tells of memory.high and the like).
  if (cgroup_->oom_kills() > 0) {
    end(model::EndReason::memory_limit);
  } else {
    std::array<char, 4096> ignored;
    while (::read(cgroup_->oom_fd(), ignored.data(), ignored.size()) > 0) {
    }
  }
}

void Sandbox::on_deadline() {
  if (report_ || cause_) {
    (void)cgroup_->kill();
    (void)init_.signal(SIGKILL);
    deadline_us_ = monotonic_us() + kPatienceUs;
    return;
  }
  end(model::EndReason::timeout);
}

void Sandbox::end(model::EndReason reason) {
  if (ended()) return;
  if (!cause_ && !report_) cause_ = reason;
  (void)cgroup_->kill();
  (void)init_.signal(
      SIGKILL);  // also where the cgroup could not be killed: PID 1 takes all others with it
  deadline_us_ = monotonic_us() + kPatienceUs;
}

EndedMessage Sandbox::finish() {
  (void)on_control();  // a last report that came together with the end
  EndedMessage message;
  message.id = message_.id;
  message.uid_base = lease_.slot().base;
  read_io(message.usage);
  auto status = init_.wait(nullptr);
  message.outcome = decide(status ? *status : sys::ExitStatus{true, SIGKILL});
  if (report_ && report_->kind == ReportKind::step_failed) message.failed_step = report_->step;
  cgroup_->read_usage(message.usage);
  if (started()) {
    const std::uint64_t now = monotonic_us();
    const std::uint64_t end = report_ && report_->kind == ReportKind::ended ? report_->at_ns / 1000
                                                                            : now;
    message.usage.start_us = started_us_ - received_us_;
    message.usage.wall_us = std::clamp(end, started_us_, now) - started_us_;
  }
  (void)cgroup_->kill();
  cgroup_.reset();
  control_.reset();
  stdin_write_.reset();
  deadline_us_ = 0;
  message.with_output = output().valid();
  ended_ = message;
  return message;
}

model::Outcome Sandbox::from_report(const Report& report) const {
  using model::EndReason;
  const std::string what = report.step == 0 ? "starting the program"
                                            : "step " + std::to_string(report.step);
  const std::string text = sys_error(report.error, what).message;
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
    case ReportKind::started: break;
  }
  return {EndReason::daemon_error, 0, 0, "tare-init reported nonsense"};
}

model::Outcome Sandbox::decide(const sys::ExitStatus& init) const {
  using model::EndReason;
  const bool out_of_memory = cgroup_->oom_kills() > 0;
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
  return sys::open_beneath(scratch_.get(), "output", O_RDONLY | O_DIRECTORY)
      .value_or(sys::UniqueFd());
}

std::vector<int> Sandbox::kept_pipes() const {
  std::vector<int> fds = {stdout_read_.get(), stderr_read_.get()};
  if (stdin_write_.valid()) fds.push_back(stdin_write_.get());
  return fds;
}

}  // namespace tare::sandbox
