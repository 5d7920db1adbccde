// One sandbox in the launcher: owns its process, cgroups, slot, scratch space and the pipes' ends
// that must survive a restart of tared. Knows why it is ending; says what it used.
//
//   being made --made()--> empty --report prepared--> idle, perhaps for long
//   claim() at any of these; claimed and made: the order is sent
//   --report started--> running --report ended, or a kill or limit and then its death--> ended
//   --reap()--> nothing of it is left but its files
//
// Owner: the launcher's table. Single thread. What never happens: a report or a kill changes an
// outcome that has been decided; a process but tare-init, which is dying, outlives finish(); two
// runs claim it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/launch/denied_table.h"
#include "sandbox/launch/execs.h"
#include "sandbox/launch/layer_marks.h"
#include "sandbox/launch/protocol.h"
#include "sandbox/launch/report.h"
#include "sandbox/make/protocol.h"
#include "sandbox/rootfs/slots.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/process.h"

namespace tare::sandbox {

// What a claim takes besides the sandbox.
struct ClaimTools {
  int runs_dir = -1;  // <home>/runs
  int null = -1;      // /dev/null
};

// Whether its processes stand still: asked for; no more asked for, on its way; they do.
enum class Standing : std::uint8_t { no, wanted, unwanted, yes };

// What a packet of tare-init comes to, for tared.
struct Told {
  std::optional<FromLauncher> message;
  int terminal = -1;  // beside it; the exec's
};

// A run's claim on a sandbox.
struct Claim {
  LaunchMessage message;
  std::vector<sys::UniqueFd> fds;  // as in LaunchMessage
  std::uint64_t received_us = 0;
  int tries = 0;  // sandboxes that it had before
};

class [[nodiscard]] Sandbox {
 public:
  // To be made by a maker, under the name cgroup_name().
  Sandbox(SlotLease lease, SandboxBase base, LayerMarks marks)
      : lease_(std::move(lease)),
        base_(std::move(base)),
        key_(key_of(base_)),
        marks_(std::move(marks)) {}

  const Slot& slot() const { return lease_.slot(); }
  const SandboxBase& base() const { return base_; }
  const std::string& key() const { return key_; }
  const LayerMarks& marks() const { return marks_; }
  std::string cgroup_name() const;

  // The order is sent by begin(), once it is made.
  void claim(Claim claim);
  bool claimed() const { return message_.has_value(); }
  // It waited, was claimed, and has died without having read the order; nobody has ended it, nor
  // has the run's memory limit.
  bool never_began() const {
    return unread_ && warm_ && claimed() && !cause_ && !report_ && cgroup_->oom_kills() == 0;
  }
  Claim give_back_claim();
  // Its claim may be given to another one: nothing has ended it, and this is not the third.
  bool may_try_again() const { return claimed() && !begun_ && !cause_ && tries_ + 1 < kMostTries; }
  // What the maker gave (make/protocol.h). On an error the process, if there is one, is to be
  // reaped like any other's.
  Result<> made(const CgroupRoot& cgroups, const Made& made, std::vector<sys::UniqueFd> fds);
  bool is_made() const { return init_.valid(); }
  bool prepared() const { return prepared_; }
  // Sends the order: claimed, and made.
  Result<> begin(const ClaimTools& tools);

  // Of the run; only when claimed.
  const std::string& id() const { return message_->id; }
  pid_t pid() const { return init_.pid(); }
  int control_fd() const { return control_.get(); }
  int pidfd() const { return init_.pidfd(); }
  const Cgroup* cgroup() const { return cgroup_.has_value() ? &*cgroup_ : nullptr; }
  bool started() const { return started_us_ > 0; }
  bool ended() const { return ended_.has_value(); }
  // When the wall time limit, or the patience with an ending sandbox, is over; CLOCK_MONOTONIC us,
  // 0 = never.
  // Or when the memory limit is looked at again.
  std::uint64_t deadline_us() const {
    const bool look = oom_look_us_ > 0 && (deadline_us_ == 0 || oom_look_us_ < deadline_us_);
    return look ? oom_look_us_ : deadline_us_;
  }

  // A packet of tare-init may be waiting: false when none is. `tell` is for tared: started, denied,
  // or of an exec.
  bool on_control(Told& tell);
  // All that was refused so far, for a tared that may have missed it.
  std::vector<DeniedMessage> denied() const;
  // Its program runs, or it is a session: execs may be started in it.
  bool live() const { return started() && !ended() && !cause_ && !report_; }
  // An error is the exec's end. Only when it is live().
  Result<> exec(const ClaimTools& tools, const ExecMessage& message,
                std::vector<sys::UniqueFd> fds);
  void signal_exec(const ExecSignalMessage& message) {
    if (live()) execs_.signal(control_.get(), message);
  }
  Execs& execs() { return execs_; }
  const Execs& execs() const { return execs_; }
  void on_oom();
  void on_deadline();
  // The first cause wins; kills the whole tree.
  void end(model::EndReason reason);
  const std::optional<model::EndReason>& cause() const { return cause_; }
  // It cannot be used: ends as setup_failed, unless something else has ended it before.
  void fail(const Error& why);
  void close_stdin() { stdin_write_.reset(); }

  // tare-init has told the end, or is a zombie: takes the rest down and says how it went. Once.
  EndedMessage finish();
  bool told_end() const { return report_ && report_->kind == ReportKind::ended; }
  // tare-init is a zombie, and the sandbox has ended.
  void reap();
  void release() { released_ = true; }
  bool released() const { return released_; }
  const EndedMessage& result() const { return *ended_; }
  // The output folder; invalid when it cannot be opened.
  sys::UniqueFd output() const;
  // For tared after its restart: stdout, stderr, [stdin], [report].
  std::vector<int> kept_pipes() const;
  LiveMessage describe() const {
    return {id(), started(), stdin_write_.valid(), report_read_.valid()};
  }
  // For whoever closes the last of them (a maker).
  std::vector<sys::UniqueFd> take_remains();
  Result<sys::UniqueFd> dup_scratch() const;
  Standing standing() const { return standing_; }
  void set_standing(Standing standing) { standing_ = standing; }
  Result<sys::UniqueFd> dup_pidfd() const { return sys::dup_fd(init_.pidfd()); }
  // The uid range and name are free when this goes: nothing of it is left.
  SlotLease take_lease() && { return std::move(lease_); }

 private:
  Result<> arm();
  std::optional<FromLauncher> on_report(const Report& report);
  std::optional<FromLauncher> on_denied(const DeniedReport& report);
  void on_exec_report(const Report& report, std::vector<sys::UniqueFd> fds, Told& tell);
  model::Outcome decide(const sys::ExitStatus& init) const;
  model::Outcome from_report(const Report& report) const;
  void look_for_oom_kill();
  void read_io(model::Usage& usage) const;
  void read_usage(model::Usage& usage) const;

  // Torn down in the reverse of this order: the processes first, the ids last.
  SlotLease lease_;
  SandboxBase base_;  // with the limits that are armed
  std::string key_;
  LayerMarks marks_;  // of its layers, as they were when it was ordered
  std::optional<LaunchMessage> message_;
  std::vector<sys::UniqueFd> order_fds_;  // until it has started
  sys::UniqueFd scratch_;
  sys::UniqueFd output_;  // with output_in_root: the folder as the sandbox sees it
  sys::UniqueFd stdout_read_, stderr_read_, stdin_write_, report_read_;
  sys::UniqueFd control_;
  std::optional<Cgroup> cgroup_;
  sys::Child init_;
  Execs execs_;

  Standing standing_ = Standing::no;

  static constexpr int kMostTries = 3;
  int tries_ = 0;
  bool prepared_ = false, begun_ = false, warm_ = false, released_ = false;
  bool unread_ = false;  // the order; only known when tare-init is dead
  model::Usage spent_;   // before the claim
  std::uint64_t received_us_ = 0, started_us_ = 0, gate_us_ = 0, deadline_us_ = 0;
  std::uint64_t oom_look_us_ = 0;  // when to look once more for a kill that was announced
  int oom_looks_ = 0;
  std::optional<model::EndReason> cause_;
  std::string fault_;  // what fail() said
  DeniedTable denied_;
  std::optional<Report> report_;  // the one that says how it ended
  std::optional<EndedMessage> ended_;
};

std::uint64_t monotonic_us();

}  // namespace tare::sandbox
