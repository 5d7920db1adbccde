// Socket addresses from text. Private to src/fiber. Pure functions. Names are not resolved: a
// lookup blocks, and where a connection may go is decided elsewhere.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "fiber/socket.h"

namespace tare::fiber {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Result<Address> unix_address(std::string_view path);
Result<Address> tcp_address(std::string_view address, std::uint16_t port);
TcpPeer tcp_peer_of(const Address& address);

}  // namespace tare::fiber
