#include "sys/unshare.h"

#include <sched.h>

#include <cerrno>

namespace tare::sys {

Result<> leave_network() {
  if (::unshare(CLONE_NEWNET) != 0) return sys_error(errno, "unshare the network namespace");
  return ok();
}

Result<> copy_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return sys_error(errno, "unshare the mount namespace");
  return ok();
}

Result<> enter_mounts_of(int pidfd) {
  if (::setns(pidfd, CLONE_NEWNS) != 0) return sys_error(errno, "enter a mount namespace");
  return ok();
}

}  // namespace tare::sys
