// A maker: a process of tare-launcher's own program that makes empty sandboxes and takes their
// remains away, one order at a time, so that the launcher itself never waits for a mount, a cgroup
// or a network namespace (attaching to a v1 memory cgroup alone was seen to take 15 ms). What it
// clones is the launcher's child, not its own (CLONE_PARENT): it dies with the launcher and is
// reaped there.
//
// Process: forked by the launcher, root with the launcher's capabilities, a copy of the launcher's
// pruned mount namespace of its own. Ends when the launcher does (PR_SET_PDEATHSIG and the end of
// the socket).
// Source: clone(2) CLONE_PARENT.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/make/protocol.h"
#include "sandbox/rootfs/scratch.h"
#include "sandbox/rootfs/skeleton.h"
#include "sandbox/rootfs/stage.h"
#include "sandbox/rootfs/user_namespaces.h"
#include "sys/fd.h"

namespace tare::sandbox {

// What every sandbox is made from; made once at the launcher's start.
struct MakerTools {
  CgroupRoot cgroups;
  Skeleton skeleton;
  ImageTools images;
  std::string host;        // the host's root, in the pruned namespace
  std::string layers_dir;  // <home>/store/layers
  sys::UniqueFd init;      // tare-init in a sealed memfd
  sys::UniqueFd null;      // /dev/null
  uid_t first_uid = 0;     // of the first slot; 0: all share one range

  // All of the above, for a process that is to keep nothing else.
  std::vector<int> descriptors() const;
};

class Maker {
 public:
  Maker(const MakerTools& tools, sys::UniqueFd socket)
      : tools_(tools), socket_(std::move(socket)) {}

  // Until the launcher closes its end.
  Result<> serve();

 private:
  struct Making;
  Result<> make(const MakeOrder& order, int plan);
  Result<> make_all(const MakeOrder& order, int plan, Making& making);
  Result<> clone_init(const MakeOrder& order, Making& making);
  Result<> remove(const RemoveOrder& order);
  Result<> stop(const StopOrder& order, int scratch);
  Result<> swap(const SwapOrder& order, int init, int scratch);
  bool is_as_made(const SwapOrder& order, int scratch) const;
  Result<> answer(const FromMaker& message, const std::vector<sys::UniqueFd>& fds = {});

  const MakerTools& tools_;
  sys::UniqueFd socket_;
  UserNamespaces user_namespaces_;
  MappedDevices mapped_devices_;
  bool clones_into_ = true;  // CLONE_INTO_CGROUP works here; found out by the first clone
};

}  // namespace tare::sandbox
