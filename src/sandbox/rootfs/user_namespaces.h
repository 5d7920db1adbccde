// The user namespaces of slots: each maps 0..65535 inside to a slot's host ids, and is kept for
// showing files with those ids (idmapped mounts). A sandbox has one of its own beside it, with the
// same map.
//
// Owner: a maker. Single thread. Source: mount_setattr(2) MOUNT_ATTR_IDMAP, user_namespaces(7).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sandbox {

class [[nodiscard]] UserNamespaces {
 public:
  // Borrowed. Made when it is asked for the first time. -1 for base 0: ids that are ours as they
  // are.
  Result<int> of(uid_t base);

 private:
  std::map<uid_t, sys::UniqueFd> made_;
};

// Maps 0..65535 inside the user namespace of `pid` to the range at `base`. For a process that waits
// to be mapped.
Result<> write_id_maps(pid_t pid, uid_t base);

}  // namespace tare::sandbox
