#include "sandbox/init/order.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/plan/plan.h"

namespace tare::sandbox::init {

namespace {

constexpr int kMostFds = 8;

}  // namespace

bool receive_fds(int socket, char& byte, int* fds, int least, int most) {
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n = -1;
  do {
    n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (n != 1 || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || rights == nullptr ||
      rights->cmsg_type != SCM_RIGHTS) {
    return false;
  }
  const auto count = static_cast<int>((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  if (count < least || count > most) return false;
  for (int i = 0; i < most; ++i) fds[i] = -1;
  std::memcpy(fds, CMSG_DATA(rights), sizeof(int) * static_cast<std::size_t>(count));
  return true;
}

int send_fds(int socket, const int* fds, int count) {
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)] = {};
  const std::size_t bytes = sizeof(int) * static_cast<std::size_t>(count);
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(rights), fds, bytes);
  return ::sendmsg(socket, &header, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

bool map_plan(int fd, std::string_view& plan) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0 || status.st_size <= 0 || status.st_size > kMaxPlanBytes)
    return false;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) return false;
  plan = {static_cast<const char*>(bytes), size};
  return true;
}

}  // namespace tare::sandbox::init
