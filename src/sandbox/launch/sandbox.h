// One live sandbox in the launcher: owns its process, cgroups, slot, scratch space and the pipes'
// ends that must survive a restart of tared. Knows why it is ending; says what it used.
//
//   launch() --report started--> running --report ended / kill / limit--> ending --init reaped-->
//   ended
//
// Owner: the launcher's table. Single thread. What never happens: a report or a kill changes an
// outcome that has been decided; a process of the sandbox outlives finish().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/launch/protocol.h"
#include "sandbox/launch/report.h"
#include "sandbox/rootfs/scratch.h"
#include "sandbox/rootfs/skeleton.h"
#include "sandbox/rootfs/slots.h"
#include "sys/fd.h"
#include "sys/process.h"

namespace tare::sandbox {

// What every sandbox is made from; made once at start.
struct LaunchTools {
  CgroupRoot cgroups;
  Skeleton skeleton;
  ImageTools images;
  SlotTable slots;
  std::string host;        // the host's root, in the pruned namespace
  std::string layers_dir;  // <home>/store/layers
  sys::UniqueFd runs_dir;  // <home>/runs
  sys::UniqueFd init;      // tare-init in a sealed memfd
  sys::UniqueFd null;      // /dev/null
};

// A slot for as long as a sandbox lives.
class SlotLease {
 public:
  static Result<SlotLease> take(SlotTable& table);
  SlotLease(SlotLease&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), slot_(other.slot_) {}
  SlotLease& operator=(SlotLease&&) = delete;
  ~SlotLease() {
    if (table_ != nullptr) table_->give_back(slot_);
  }
  const Slot& slot() const { return slot_; }

 private:
  SlotLease(SlotTable& table, Slot slot) : table_(&table), slot_(slot) {}
  SlotTable* table_;
  Slot slot_;
};

class [[nodiscard]] Sandbox {
 public:
  // `fds` as in LaunchMessage. On an error nothing is left behind.
  static Result<std::unique_ptr<Sandbox>> launch(LaunchTools& tools, const LaunchMessage& message,
                                                 std::vector<sys::UniqueFd> fds);

  const std::string& id() const { return message_.id; }
  int control_fd() const { return control_.get(); }
  int pidfd() const { return init_.pidfd(); }
  int oom_fd() const { return cgroup_.has_value() ? cgroup_->oom_fd() : -1; }
  bool started() const { return started_us_ > 0; }
  bool ended() const { return ended_.has_value(); }
  // When the wall time limit, or the patience with an ending sandbox, is over; CLOCK_MONOTONIC us,
  // 0 = never.
  std::uint64_t deadline_us() const { return deadline_us_; }

  // A packet of tare-init is waiting. What to tell tared, if anything.
  std::optional<StartedMessage> on_control();
  void on_oom();
  void on_deadline();
  // The first cause wins; kills the whole tree.
  void end(model::EndReason reason);
  void close_stdin() { stdin_write_.reset(); }

  // tare-init is a zombie: takes the rest down and says how it went. Once.
  EndedMessage finish();
  const EndedMessage& result() const { return *ended_; }
  // The output folder; invalid when it cannot be opened.
  sys::UniqueFd output() const;
  // For tared after its restart: stdout, stderr, [stdin].
  std::vector<int> kept_pipes() const;
  LiveMessage describe() const { return {message_.id, started(), stdin_write_.valid()}; }

 private:
  explicit Sandbox(SlotLease lease) : lease_(std::move(lease)) {}
  Result<> make(LaunchTools& tools, std::vector<sys::UniqueFd> fds);
  Result<> clone_init(LaunchTools& tools);
  Result<> hand_over(const sys::UniqueFd& plan, int in, int out, int err);
  model::Outcome decide(const sys::ExitStatus& init) const;
  model::Outcome from_report(const Report& report) const;
  void read_io(model::Usage& usage) const;

  // Torn down in the reverse of this order: the processes first, the ids last.
  SlotLease lease_;
  LaunchMessage message_;
  sys::UniqueFd scratch_;
  sys::UniqueFd stdout_read_, stderr_read_, stdin_write_;
  sys::UniqueFd control_;
  std::optional<Cgroup> cgroup_;
  sys::Child init_;

  std::uint64_t received_us_ = 0, started_us_ = 0, deadline_us_ = 0;
  std::optional<model::EndReason> cause_;
  std::optional<Report> report_;  // the one that says how it ended
  std::optional<EndedMessage> ended_;
};

std::uint64_t monotonic_us();

}  // namespace tare::sandbox
