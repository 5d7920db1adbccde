// SOCK_SEQPACKET unix sockets: one send is one message, with descriptors beside it (SCM_RIGHTS).
// What tared, tare-launcher, tare-store and tare-init speak to each other.
//
// Never happens: a received descriptor leaks (all are owned, also those beyond what was expected)
// or is inherited by a later exec (MSG_CMSG_CLOEXEC); a truncated message is taken for a whole one.
// Sources: unix(7), recvmsg(2), cmsg(3).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sys {

inline constexpr std::size_t kMaxMessageBytes = 192 *
                                                1024;  // below the default wmem_max of 212,992
inline constexpr std::size_t kMaxMessageFds = 64;      // the kernel allows 253

struct Message {
  std::string bytes;
  std::vector<UniqueFd> fds;
};

// Sends one message; Errc::unavailable when the peer is gone (no SIGPIPE), sys == EAGAIN when a
// non-blocking socket is full.
Result<> send_message(int socket, std::string_view bytes, std::span<const int> fds = {});

// One message, or nullopt when the peer has closed. sys == EAGAIN on a non-blocking socket with
// nothing to read.
Result<std::optional<Message>> receive_message(int socket,
                                               std::size_t max_bytes = kMaxMessageBytes);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
Result<PeerCredentials> peer_credentials(
    int socket);  // SO_PEERCRED: who called connect(2) or socketpair(2)

// A listening socket at a path, replacing a stale one; mode and group set before it can be
// connected to.
Result<UniqueFd> listen_seqpacket(std::string_view path, unsigned mode, gid_t group);
Result<UniqueFd> connect_seqpacket(std::string_view path);
Result<std::optional<UniqueFd>> accept_nonblocking(int listener);  // nullopt: nobody is waiting
Result<std::pair<UniqueFd, UniqueFd>> seqpacket_pair();

}  // namespace tare::sys
