#include "sandbox/init/waits.h"

#include <cerrno>

namespace tare::sandbox::init {

bool Waits::add(int fd, Serve serve, void* who) {
  int at = 0;
  while (at < used_ && polls_[at].fd >= 0) ++at;
  if (at == kMost) return false;
  polls_[at] = {fd, POLLIN, 0};
  servers_[at] = {serve, who};
  if (at == used_) ++used_;
  return true;
}

bool Waits::turn() {
  if (::poll(polls_, static_cast<nfds_t>(used_), -1) < 0) return errno == EINTR;
  const int polled = used_;
  for (int i = 0; i < polled; ++i) {
    if (polls_[i].fd < 0 || polls_[i].revents == 0) continue;
    if (!servers_[i].serve(servers_[i].who, polls_[i].fd, polls_[i].revents)) polls_[i].fd = -1;
  }
  return true;
}

}  // namespace tare::sandbox::init
