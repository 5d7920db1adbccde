#include "sys/fd.h"

#include <unistd.h>

namespace tare::sys {

void UniqueFd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old >= 0) ::close(old);  // EINTR included: on Linux the descriptor is gone either way
}

}  // namespace tare::sys
