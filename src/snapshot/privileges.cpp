#include "snapshot/privileges.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "sys/fork.h"
#include "sys/unshare.h"

namespace tare::snapshot {

Result<> drop_privileges() {
  TRY(sys::leave_network());
  if (::setgroups(0, nullptr) != 0) return sys_error(errno, "setgroups");
  TRY(sys::limit_resource(RLIMIT_CORE, 0));
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_error(errno, "PR_SET_DUMPABLE");
  return sys::keep_only_capabilities(kStoreCapabilities);
}

}  // namespace tare::snapshot
