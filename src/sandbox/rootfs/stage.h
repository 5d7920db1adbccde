// The root of one sandbox, put together at /stage/root in the launcher's mount namespace just
// before the sandbox is cloned, and taken away again just after: the clone has its own copy, in
// which the kernel has locked every mount and every read-only flag, because they came from a more
// privileged namespace.
//
// One at a time: the launcher is single-threaded. What never happens: an overlay that the kernel
// made read-only in silence (checked), a symlink of an image followed while mounting (the platform
// layer makes the mount points).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/rootfs/skeleton.h"
#include "sandbox/rootfs/slots.h"
#include "sys/fd.h"

namespace tare::sandbox {

struct StageParts {
  const Skeleton* skeleton = nullptr;
  std::string host;                 // the host's root
  std::string layers_dir;           // <home>/store/layers
  std::vector<std::string> layers;  // digests, lowest first
  bool host_root = false;
  bool host_network = false;  // shows the host's resolv.conf, hosts and package sources
                              // (environment builds)
  const Slot* slot = nullptr;
  int scratch = -1;  // detached mount
  int input = -1;    // <home>/runs when <run>/input is to be shown, else -1
  std::string run;   // the run's id
};

class [[nodiscard]] Stage {
 public:
  static Result<Stage> build(const StageParts& parts);
  Stage(Stage&& other) noexcept : mounted_(std::exchange(other.mounted_, false)) {}
  Stage& operator=(Stage&&) = delete;
  ~Stage();

 private:
  explicit Stage(bool mounted) : mounted_(mounted) {}
  bool mounted_ = false;
};

}  // namespace tare::sandbox
