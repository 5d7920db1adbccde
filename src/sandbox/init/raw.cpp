#include "sandbox/init/raw.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tare::sandbox::init {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

int hold_only_capabilities(std::uint64_t mask) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = static_cast<std::uint32_t>(mask);
  data[1].effective = data[1].permitted = static_cast<std::uint32_t>(mask >> 32);
  return outcome(::syscall(SYS_capset, &header, data));
}

}  // namespace tare::sandbox::init
