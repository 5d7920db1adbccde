// The sockets on which whatever a sandbox connects to arrives: made inside its network namespace,
// by a process that enters it for a moment, and held outside of it. So nothing inside can have
// them, close them, or bind what they are bound to while nobody accepts; and a connection's origin
// is the socket that it came by, whatever it says of itself.
//
// Every address is local in there: a connection to any address and one of these ports arrives, and
// getsockname(2) tells where it wanted to go. All other ports are refused at once, by the kernel.
// There is no other interface than lo and no route out of it: nothing leaves.
//
// Process: a maker, single-threaded, with CAP_SYS_ADMIN over the sandbox; before any of its program
// runs. Cost: 0.1 ms for five. Errors: the kernel's. What never happens: one listens to a part of
// the addresses of its port, beside which the sandbox could listen to another (a wildcard of both
// families takes all).
// Sources: ipv6(7) (IPV6_V6ONLY), bind(2), listen(2), DESIGN.md section 7.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sandbox {

enum class Transport : std::uint8_t { tcp, udp };

struct Listening {
  Transport transport = Transport::tcp;
  std::uint16_t port = 0;
};

inline constexpr std::size_t kMaxListeners = 32;

// `init`: a pidfd of its tare-init. In the order of `wanted`; close-on-exec, nonblocking. They keep
// the network namespace alive: whoever has them closes them with the sandbox.
Result<std::vector<sys::UniqueFd>> make_listeners(int init, std::span<const Listening> wanted);

}  // namespace tare::sandbox
