// What tare-launcher and its makers say to each other over a SOCK_SEQPACKET pair: one message per
// packet, base/wire.h encoding. A maker answers each order once, in the order they came.
//
//   launcher                     maker
//   make          ----------->
//                 <-----------   made + fds    tare-init lives, has its cgroups and the base plan
//   remove + fds  ----------->                 the cgroups; what the descriptors keep alive
//                 <-----------   removed
//   stop + fd     ----------->                 its processes stand still
//                 <-----------   stopped + fds the upper, and its opaque folders
//   swap + fds    ----------->                 another runner is mounted, its processes are dead
//                 <-----------   swapped       it stands still
//
// Both ends are of one program and trust each other; messages are decoded strictly all the same.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "sandbox/launch/base.h"

namespace tare::sandbox {

// `number` is the launcher's own for a sandbox, and comes back in the answer. Descriptor: the base
// plan.
struct MakeOrder {
  std::uint32_t number = 0;
  uid_t uid_base = 0;
  std::string cgroup;  // name of its folders
  SandboxBase base;
};
// Descriptors: the scratch space, if there is one, and the output folder, if it is kept. Closing
// the last of a mount unmounts it, which takes its time.
struct RemoveOrder {
  std::uint32_t number = 0;
  std::string cgroup;
};
// Descriptor: the scratch space. The launcher lets it go on.
struct StopOrder {
  std::uint32_t number = 0;
  std::string cgroup;  // "": it has ended, and nothing is to be stopped
};
// Descriptors: tare-init's pidfd, the scratch space. The launcher lets it go on, or ends it.
struct SwapOrder {
  std::uint32_t number = 0;
  std::string cgroup;
  uid_t uid_base = 0;
  std::uint32_t pid = 0;              // of tare-init, which lives on
  std::string runner;                 // digest of its layer
  std::vector<std::string> own = {};  // digests: what the sandbox has changed in former lives
};
using ToMaker = std::variant<MakeOrder, RemoveOrder, StopOrder, SwapOrder>;

// Descriptors when `pid` > 0: the pidfd; and when `error` is empty: the control socket, the scratch
// space, the cgroup's oom_fd(), and with output_in_root the output folder as the sandbox sees it.
// An error with a pid is of a process that was made and is to be reaped.
struct Made {
  std::uint32_t number = 0;
  std::uint32_t pid = 0;
  std::string error;
  bool moved = false;  // into all of its cgroups: it was born in none
};
struct Removed {
  std::uint32_t number = 0;
  std::string error;
};
// Descriptors when `error` is empty: the upper, and a file with the text of opaque_folders()
// (make/upper.h). After an error the processes go on.
struct Stopped {
  std::uint32_t number = 0;
  std::string error;
  std::uint32_t processes = 0;  // that stand still; 0 for one that has ended
};
// After an error that has touched nothing the processes go on; after any other it is to be ended.
struct Swapped {
  std::uint32_t number = 0;
  std::string error;
  bool touched = false;
  bool as_made = false;  // its environment is as it was made with (make/upper.h)
};
using FromMaker = std::variant<Made, Removed, Stopped, Swapped>;

Result<std::string> encode_to_maker(const ToMaker& message);
Result<std::string> encode_from_maker(const FromMaker& message);
Result<ToMaker> decode_to_maker(std::string_view bytes);
Result<FromMaker> decode_from_maker(std::string_view bytes);

}  // namespace tare::sandbox
