#include "sys/unshare.h"

#include <sched.h>

#include <cerrno>

namespace tare::sys {

Result<> leave_network() {
  if (::unshare(CLONE_NEWNET) != 0) return sys_error(errno, "unshare the network namespace");
  return ok();
}

}  // namespace tare::sys
