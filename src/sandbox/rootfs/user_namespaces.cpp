#include "sandbox/rootfs/user_namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string>

#include "sandbox/plan/plan.h"
#include "sys/files.h"
#include "sys/process.h"

namespace tare::sandbox {

namespace {

// A user namespace lives as long as a descriptor of it: a child makes it, we map and open it, the
// child dies.
Result<sys::UniqueFd> make_user_namespace(uid_t base) {
  const pid_t parent = ::getpid();
  sys::Child child = TRY(sys::clone_child(CLONE_NEWUSER));
  if (!child.valid()) {
    // A parent that dies now must not leave it behind. One that died before the call is seen by its
    // number, which a child in the same PID namespace can tell.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != parent) ::_exit(1);
    for (;;) ::pause();
  }
  TRY(write_id_maps(child.pid(), base));
  return sys::open_at(sys::kCwd, "/proc/" + std::to_string(child.pid()) + "/ns/user", O_RDONLY);
}

}  // namespace

Result<int> UserNamespaces::of(uid_t base) {
  if (base == 0) return -1;
  const auto found = made_.find(base);
  if (found != made_.end()) return found->second.get();
  sys::UniqueFd made = TRY(make_user_namespace(base));
  return made_.emplace(base, std::move(made)).first->second.get();
}

Result<> write_id_maps(pid_t pid, uid_t base) {
  const std::string process = "/proc/" + std::to_string(pid);
  const std::string map = "0 " + std::to_string(base) + " " + std::to_string(kIdRange) + "\n";
  TRY(sys::write_control(sys::kCwd, process + "/uid_map", map));
  return sys::write_control(sys::kCwd, process + "/gid_map", map);
}

}  // namespace tare::sandbox
