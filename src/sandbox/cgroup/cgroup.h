// The cgroups of one sandbox, in every hierarchy that is needed, as one thing: made with their
// limits armed, killed as a whole, read back, removed. CgroupRoot is the folder of one TARE_HOME;
// Cgroup is one sandbox.
//
//   <memory hierarchy>/tare-<tag>/<slot>     one of these per hierarchy; tag names the TARE_HOME,
//   so several <pids hierarchy>/tare-<tag>/<slot>       launchers live side by side and each sweeps
//   only its own <unified>/tare-<tag>/<slot>
//
// Owner: a maker while the sandbox is made, then tare-launcher's table (release() and adopt()).
// Works on descriptors opened at start: the launcher's pruned mount namespace has no cgroupfs. What
// never happens: a limit that was asked for is skipped in silence (create() and rearm() fail
// instead).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/limits.h"
#include "model/usage.h"
#include "sandbox/cgroup/hierarchies.h"
#include "sandbox/cgroup/settings.h"
#include "sys/fd.h"

namespace tare::sandbox {

class Cgroup;

// Fills in the controllers of the unified hierarchy, from its cgroup.controllers.
Result<> read_controllers(Hierarchy& hierarchy);

// Kills all of one cgroup, where its hierarchy can do that at once; does nothing where it cannot.
// They go on dying when it returns.
Result<> kill_in(int folder, const Hierarchy& hierarchy);

class [[nodiscard]] CgroupRoot {
 public:
  // Makes tare-<tag> in every needed hierarchy, and on v2 hands the controllers down to it.
  // `swaps`: the kernel's list of what it swaps to.
  static Result<CgroupRoot> open(const std::vector<Hierarchy>& needed, std::string_view tag,
                                 std::string swaps = "/proc/swaps");

  // Moving a process between cgroups waits for every processor (0.3 to 30 ms, under a lock that all
  // other moves wait for) unless some hierarchy asks for quick moves (favordynmods, since 6.0: what
  // forks and exits pay for it is some ns). What the host has mounted stays as it is: an empty v1
  // hierarchy of our own, mounted nowhere, asks. It goes with this process. Nothing to do on v2,
  // where a process is born in its cgroup. Errors: the kernel has none; then moves are slow.
  Result<> ask_for_quick_moves();

  // Kills and removes what an earlier launcher left behind. How many.
  Result<int> sweep();
  // Removes the folders themselves; for the end of tests and of `tare down`.
  Result<> remove();

  // Kills what is in the child folders of that name, and removes them in every hierarchy. Fine when
  // there are none.
  Result<> remove_child(std::string_view name) const;
  // Stops everything in the child folders of that name, and returns when it stands still; or lets
  // it go on. Errors: timeout after `patience_ms` (a process in a call that cannot be interrupted);
  // then it goes on.
  Result<> stop_child(std::string_view name, std::uint64_t patience_ms) const;
  Result<> continue_child(std::string_view name) const;
  // How many processes one has that stands still.
  Result<std::uint32_t> count_standing(std::string_view name) const;
  // SIGKILL to each process of one that stands still, but for `spared` (0: none). On v1 they die
  // when it goes on, before they do anything else.
  Result<> kill_standing(std::string_view name, pid_t spared) const;
  // Everything it has open, for a process that is to keep it.
  std::vector<int> descriptors() const;

  // "v2", "v1" or "hybrid".
  std::string_view mode() const;

 private:
  friend class Cgroup;
  struct Folder {
    Hierarchy hierarchy;
    sys::UniqueFd mount;   // where it is mounted
    sys::UniqueFd folder;  // tare-<tag>

    CgroupVersion version() const {
      return hierarchy.unified ? CgroupVersion::v2 : CgroupVersion::v1;
    }
  };
  const Folder* with(std::string_view controller) const;
  const Folder* killing() const;  // the one that acts on all processes of a cgroup at once
  Result<> set_stopped(std::string_view name, bool stopped) const;
  Result<bool> is_stopped(std::string_view name) const;  // only after set_stopped()
  Result<std::string> processes_of(std::string_view name) const;
  std::vector<Folder> folders_;
  std::string name_;
  std::string swaps_;
  sys::UniqueFd quick_moves_;
};

// Says where it is by its root and its name alone: no descriptor but oom_fd() for as long as a
// sandbox lives.
class [[nodiscard]] Cgroup {
 public:
  // All limits are armed when it returns. The root outlives it.
  static Result<Cgroup> create(const CgroupRoot& root, std::string_view name,
                               const model::Limits& limits);
  // One that another process has made, with its oom_fd(). Whoever adopts it has
  // CgroupRoot::remove_child() called in the end.
  static Cgroup adopt(const CgroupRoot& root, std::string_view name, sys::UniqueFd oom);
  Cgroup(Cgroup&& other) noexcept;
  Cgroup& operator=(Cgroup&&) noexcept = delete;
  ~Cgroup();

  // Hands it to another process, by its oom_fd(). The folders stay.
  sys::UniqueFd release() &&;

  // Writes what is different. After an error some limits are of `to` and some of `from`.
  Result<> rearm(const model::Limits& from, const model::Limits& to) const;

  // For CLONE_INTO_CGROUP: the folder in the unified hierarchy, where there is one; else invalid.
  Result<sys::UniqueFd> clone_into() const;
  enum class Birth : std::uint8_t { outside, inside };  // inside: cloned into clone_into()
  // Moves a process into all of them, but for the one it was born in.
  Result<> attach(pid_t pid, Birth birth) const;
  // SIGKILL to everything inside, also while it forks. Returns before the processes are reaped.
  Result<> kill() const;
  // Tells when the memory limit had to kill something: oom_events() of poll(2) come (v1: an eventfd
  // becomes readable; v2: POLLPRI of memory.events), until see_oom(). No inotify: of that root may
  // have 128 in all.
  int oom_fd() const { return oom_.get(); }
  short oom_events() const;
  void see_oom() const;
  // How often it did; asks the kernel.
  std::uint64_t oom_kills() const;
  // CPU time, peak memory, throttled time.
  void read_usage(model::Usage& usage) const;
  // Removes the folders; Errc::conflict while a process is left inside.
  Result<> remove();

 private:
  using Folder = CgroupRoot::Folder;
  Cgroup(const CgroupRoot& root, std::string_view name) : root_(&root), name_(name) {}
  Result<> arm(const Folder& folder, const CgroupSetting& setting) const;
  Result<> watch_oom();
  std::optional<std::uint64_t> number(const Folder& folder, std::string_view file,
                                      std::string_view key = "") const;
  std::string in(std::string_view file) const { return name_ + "/" + std::string(file); }

  const CgroupRoot* root_;
  std::string name_;
  sys::UniqueFd oom_;
  bool made_here_ = false;  // and to be removed with this
};

}  // namespace tare::sandbox
