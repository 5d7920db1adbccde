// The root of one sandbox, put together at /stage/root in the maker's mount namespace just before
// the sandbox is cloned, and taken away again just after: the clone has its own copy, in which the
// kernel has locked every mount and every read-only flag, because they came from a more privileged
// namespace.
//
// One at a time: a maker is single-threaded and has a mount namespace of its own. Everything lies
// below one mount at /stage, so that it goes with one umount: each costs a grace period of RCU.
// What never happens: an overlay that the kernel made read-only in silence (checked), a symlink of
// an image followed while mounting (the platform layer makes the mount points).
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/rootfs/skeleton.h"
#include "sys/fd.h"

namespace tare::sandbox {

// The file systems of which layers were shown with other ids before, by this maker.
using MappedDevices = std::set<dev_t>;

struct StageParts {
  const Skeleton* skeleton = nullptr;
  std::string host;                 // the host's root
  std::string layers_dir;           // <home>/store/layers
  std::vector<std::string> layers;  // digests, lowest first
  std::string runner = {};          // digest of the runner's layer, "" for none
  bool host_root = false;
  bool output_in_root = false;  // nothing is mounted at /output
  bool host_network = false;    // with host_root: shows the host's resolv.conf, hosts and package
                                // sources (environment builds)
  int user_namespace = -1;      // of the sandbox's uid range; -1: its ids are ours, none is mapped
  int scratch = -1;             // detached mount
  MappedDevices* mapped_devices = nullptr;
};

// Where the files of a layer are.
std::string layer_path(const std::string& layers_dir, const std::string& digest);

// A runner's layer as a sandbox shows it: a detached mount, read-only, nosuid, nodev.
Result<sys::UniqueFd> runner_tree(int user_namespace, const std::string& layers_dir,
                                  const std::string& digest);

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
