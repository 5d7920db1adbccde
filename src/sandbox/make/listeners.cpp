#include "sandbox/make/listeners.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "sys/netns.h"

namespace tare::sandbox {

namespace {

// More than may wait to be accepted are not refused but tried again by the kernel inside, for a
// second; they cost the sandbox's memory.
constexpr int kBacklog = 128;

std::string text_of(const Listening& one) {
  return std::string(one.transport == Transport::tcp ? "tcp" : "udp") + " port " +
         std::to_string(one.port);
}

Result<> set_option(int socket, int level, int name, int value, const char* what) {
  if (::setsockopt(socket, level, name, &value, sizeof value) != 0) return sys_error(errno, what);
  return ok();
}

// Of both families where the kernel has both. Without SO_REUSEADDR and SO_REUSEPORT: nobody can
// share the port then.
Result<> bind_all_addresses(int socket, bool with_v6, std::uint16_t port) {
  if (with_v6) {
    TRY(set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY"));
    sockaddr_in6 all = {};
    all.sin6_family = AF_INET6;
    all.sin6_port = htons(port);
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&all), sizeof all) != 0)
      return sys_error(errno, "bind");
    return ok();
  }
  sockaddr_in all = {};
  all.sin_family = AF_INET;
  all.sin_port = htons(port);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&all), sizeof all) != 0)
    return sys_error(errno, "bind");
  return ok();
}

// Where a datagram was sent to is told with it.
Result<> tell_destinations(int socket, bool with_v6) {
  if (with_v6) TRY(set_option(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"));
  return set_option(socket, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
}

Result<sys::UniqueFd> listen_to(const Listening& one, bool with_v6) {
  const int type = one.transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
  sys::UniqueFd socket(
      ::socket(with_v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return sys_error(errno, "socket");
  if (one.transport == Transport::udp) TRY(tell_destinations(socket.get(), with_v6));
  TRY(bind_all_addresses(socket.get(), with_v6, one.port));
  if (one.transport == Transport::tcp && ::listen(socket.get(), kBacklog) != 0)
    return sys_error(errno, "listen");
  return socket;
}

Result<bool> make_addresses_local() {
  TRY(sys::bring_loopback_up());
  TRY(sys::make_every_address_local(sys::IpFamily::v4));
  const auto v6 = sys::make_every_address_local(sys::IpFamily::v6);
  if (!v6 && v6.error().code != Errc::unavailable) return v6.error();
  return v6.ok();
}

}  // namespace

Result<std::vector<sys::UniqueFd>> make_listeners(int init, std::span<const Listening> wanted) {
  if (wanted.size() > kMaxListeners) {
    return Error{Errc::invalid, "listeners: " + std::to_string(wanted.size()) +
                                    ", and not more than " + std::to_string(kMaxListeners) +
                                    " are possible"};
  }
  const auto inside = TRY(sys::InNetworkOf::enter(init));
  const bool with_v6 = TRY(make_addresses_local());
  std::vector<sys::UniqueFd> made;
  made.reserve(wanted.size());
  for (const Listening& one : wanted)
    made.push_back(TRY(listen_to(one, with_v6).context(text_of(one))));
  return made;
}

}  // namespace tare::sandbox
