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

ssize_t receive_packet(int socket, void* bytes, std::size_t size, int* fds, int most) {
  for (int i = 0; i < most; ++i) fds[i] = -1;
  iovec part = {bytes, size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE(sizeof(int) * static_cast<std::size_t>(most));
  ssize_t n = -1;
  do {
    n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n <= 0 || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return n == 0 ? 0 : -1;
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr) return n;
  // CMSG_SPACE is aligned: there may be room for one more than was asked for.
  const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  if (rights->cmsg_type != SCM_RIGHTS || count > static_cast<std::size_t>(most)) return -1;
  std::memcpy(fds, CMSG_DATA(rights), sizeof(int) * count);
  return n;
}

int send_packet(int socket, const void* bytes, std::size_t size, const int* fds, int count) {
  iovec part = {const_cast<void*>(bytes), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (count > 0) {
    const std::size_t length = sizeof(int) * static_cast<std::size_t>(count);
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(length);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(length);
    std::memcpy(CMSG_DATA(rights), fds, length);
  }
  const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(size) ? 0 : errno;
}

bool receive_fds(int socket, char& byte, int* fds, int least, int most) {
  return receive_packet(socket, &byte, 1, fds, most) == 1 && (least == 0 || fds[least - 1] >= 0);
}

int send_fds(int socket, const int* fds, int count) {
  const char byte = 0;
  return send_packet(socket, &byte, 1, fds, count);
}

void send_report(const Report& report, int fd) {
  // A launcher that is gone cannot be told; PDEATHSIG and the hang-up that live() sees end this
  // process then.
  (void)send_packet(kControlFd, &report, sizeof report, &fd, fd >= 0 ? 1 : 0);
}

bool receive_command(Command& command, int* fds, bool& gone) {
  for (int i = 0; i < kCommandFds; ++i) fds[i] = -1;
  iovec part = {&command, sizeof command};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kCommandFds)];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(kControlFd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  if (n <= 0) return false;
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    const auto count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(fds, CMSG_DATA(rights), sizeof(int) * count);
  }
  const bool whole = n == sizeof command && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
                     command.magic == Command::kMagic;
  gone = !whole;  // not our launcher
  return whole;
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
