#include "sys/netns.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "sys/files.h"
#include "sys/retry.h"

namespace tare::sys {

namespace {

constexpr int kLoopback = 1;  // its index in every network namespace

struct RouteRequest {
  nlmsghdr header = {};
  rtmsg route = {};
  rtattr attribute = {};
  int interface = kLoopback;
};
static_assert(sizeof(RouteRequest) == NLMSG_HDRLEN + sizeof(rtmsg) + RTA_LENGTH(sizeof(int)));

struct RouteAnswer {
  nlmsghdr header;
  nlmsgerr error;
};

RouteRequest local_default_route(int family) {
  RouteRequest request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_NEWROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
  request.route.rtm_family = static_cast<unsigned char>(family);
  request.route.rtm_table = RT_TABLE_LOCAL;
  request.route.rtm_protocol = RTPROT_BOOT;
  request.route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  request.route.rtm_type = RTN_LOCAL;
  request.attribute.rta_type = RTA_OIF;
  request.attribute.rta_len = RTA_LENGTH(sizeof(int));
  return request;
}

}  // namespace

Result<InNetworkOf> InNetworkOf::enter(int pidfd) {
  UniqueFd home = TRY(open_at(kCwd, "/proc/thread-self/ns/net", O_RDONLY));
  if (::setns(pidfd, CLONE_NEWNET) != 0) return sys_error(errno, "setns to its network");
  return InNetworkOf(std::move(home));
}

InNetworkOf::~InNetworkOf() {
  if (home_.valid()) CHECK(::setns(home_.get(), CLONE_NEWNET) == 0);
}

Result<> bring_loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return sys_error(errno, "socket");
  ifreq request = {};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return sys_error(errno, "bring lo up");
  return ok();
}

Result<> make_every_address_local(IpFamily family) {
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return sys_error(errno, "socket of rtnetlink");
  const RouteRequest request = local_default_route(family == IpFamily::v4 ? AF_INET : AF_INET6);
  if (retry([&] { return ::send(socket.get(), &request, sizeof request, 0); }) !=
      static_cast<ssize_t>(sizeof request)) {
    return sys_error(errno, "ask for a route");
  }
  std::array<std::byte, 4096> buffer;
  const ssize_t size = retry([&] { return ::recv(socket.get(), buffer.data(), buffer.size(), 0); });
  if (size < 0) return sys_error(errno, "answer about a route");
  RouteAnswer answer = {};
  if (static_cast<std::size_t>(size) < sizeof answer)
    return Error{Errc::internal, "answer about a route: too short"};
  std::memcpy(&answer, buffer.data(), sizeof answer);
  const int error = -answer.error.error;
  if (answer.header.nlmsg_type != NLMSG_ERROR)
    return Error{Errc::internal, "answer about a route: not one"};
  if (error == EOPNOTSUPP || error == EAFNOSUPPORT)
    return Error{Errc::unavailable, "this kernel has no IPv6", error};
  if (error != 0 && error != EEXIST) return sys_error(error, "route of all addresses to lo");
  return ok();
}

}  // namespace tare::sys
