#include "sandbox/rootfs/slots.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "sandbox/plan/plan.h"
#include "sys/files.h"
#include "sys/process.h"

namespace tare::sandbox {

namespace {

// A user namespace lives as long as a descriptor of it: a child makes it, we map and open it, the
// child dies.
Result<sys::UniqueFd> make_user_namespace(uid_t base) {
  const pid_t launcher = ::getpid();
  sys::Child child = TRY(sys::clone_child(CLONE_NEWUSER));
  if (!child.valid()) {
    // A launcher that dies now must not leave it behind. One that died before the call is seen by
    // the parent's number, which a child in the same PID namespace can tell.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != launcher) ::_exit(1);
    for (;;) ::pause();
  }
  TRY(write_id_maps(child.pid(), base));
  return sys::open_at(sys::kCwd, "/proc/" + std::to_string(child.pid()) + "/ns/user", O_RDONLY);
}

}  // namespace

Result<> write_id_maps(pid_t pid, uid_t base) {
  const std::string process = "/proc/" + std::to_string(pid);
  const std::string map = "0 " + std::to_string(base) + " " + std::to_string(kIdRange) + "\n";
  TRY(sys::write_control(sys::kCwd, process + "/uid_map", map));
  return sys::write_control(sys::kCwd, process + "/gid_map", map);
}

SlotTable::SlotTable(std::uint32_t block) : block_(block), entries_(kSlotsPerBlock) {
  CHECK(block < kUidBlocks);
  for (std::uint32_t i = 0; i < kSlotsPerBlock; ++i) free_.push_back(i);
}

Result<Slot> SlotTable::lease() {
  if (free_.empty()) {
    return Error{Errc::exhausted,
                 "all " + std::to_string(kSlotsPerBlock) + " sandboxes of this host are in use"};
  }
  const std::uint32_t index = free_.front();
  Entry& entry = entries_[index];
  const uid_t base = kFirstUid + (block_ * kSlotsPerBlock + index) * kIdRange;
  if (!entry.user_namespace.valid()) entry.user_namespace = TRY(make_user_namespace(base));
  free_.pop_front();
  return Slot{index, ++entry.generation, base, entry.user_namespace.get()};
}

void SlotTable::give_back(const Slot& slot) {
  CHECK(entries_[slot.index].generation == slot.generation);  // given back once, by its holder
  free_.push_back(slot.index);
}

}  // namespace tare::sandbox
