#include "sys/seqpacket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sys/retry.h"

namespace tare::sys {

namespace {

Result<sockaddr_un> address_of(std::string_view path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{Errc::invalid, "socket path must have 1 to 107 bytes: " + std::string(path) +
                                    " (choose a shorter TARE_HOME)"};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

Result<> send_message(int socket, std::string_view bytes, std::span<const int> fds) {
  if (bytes.empty() || bytes.size() > kMaxMessageBytes || fds.size() > kMaxMessageFds) {
    return Error{Errc::exhausted,
                 "message is empty or too large: " + std::to_string(bytes.size()) + " bytes"};
  }
  iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  const ssize_t n = retry([&] { return ::sendmsg(socket, &header, MSG_NOSIGNAL); });
  if (n < 0) return sys_error(errno, "send message");
  return ok();
}

Result<std::optional<Message>> receive_message(int socket, std::size_t max_bytes) {
  Message message;
  message.bytes.resize(max_bytes);
  iovec part = {message.bytes.data(), message.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t n = retry([&] { return ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC); });
  if (n < 0) return sys_error(errno, "receive message");
  for (cmsghdr* part_header = CMSG_FIRSTHDR(&header); part_header != nullptr;
       part_header = CMSG_NXTHDR(&header, part_header)) {
    if (part_header->cmsg_level != SOL_SOCKET || part_header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part_header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part_header) + i * sizeof(int), sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  if (n == 0) return std::optional<Message>();
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Error{Errc::invalid, "message was truncated: too many bytes or descriptors"};
  }
  message.bytes.resize(static_cast<std::size_t>(n));
  return std::optional<Message>(std::move(message));
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred credentials = {};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return sys_error(errno, "getsockopt SO_PEERCRED");
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Result<UniqueFd> listen_seqpacket(std::string_view path, unsigned mode, gid_t group) {
  const sockaddr_un address = TRY(address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return sys_error(errno, "socket");
  if (::unlink(address.sun_path) != 0 && errno != ENOENT)
    return sys_error(errno, "unlink stale socket");
  // The inode gets mode 0777 & ~umask at bind: nobody may connect before it has its real mode.
  const mode_t before = ::umask(0777);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::umask(before);
  if (bound != 0) return sys_error(error, "bind " + std::string(path));
  if (::lchown(address.sun_path, static_cast<uid_t>(-1), group) != 0)
    return sys_error(errno, "chown socket");
  if (::chmod(address.sun_path, mode) != 0) return sys_error(errno, "chmod socket");
  if (::listen(fd.get(), 64) != 0) return sys_error(errno, "listen");
  return fd;
}

Result<UniqueFd> connect_seqpacket(std::string_view path) {
  const sockaddr_un address = TRY(address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return sys_error(errno, "socket");
  if (retry([&] {
        return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
      }) != 0) {
    return sys_error(errno, "connect " + std::string(path));
  }
  return fd;
}

Result<std::optional<UniqueFd>> accept_nonblocking(int listener) {
  const int fd = retry(
      [&] { return ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); });
  if (fd >= 0) return std::optional<UniqueFd>(UniqueFd(fd));
  if (errno == EAGAIN || errno == ECONNABORTED) return std::optional<UniqueFd>();
  return sys_error(errno, "accept");
}

Result<std::pair<UniqueFd, UniqueFd>> seqpacket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_error(errno, "socketpair");
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

}  // namespace tare::sys
