#include "sandbox/posture/network.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <set>
#include <string>

#include "sandbox/posture/lines.h"

namespace tare::sandbox::posture {

namespace {

struct Flag {
  unsigned bit;
  const char* name;
};

std::string words_of(unsigned flags, std::initializer_list<Flag> names) {
  std::string out;
  for (const Flag& flag : names) {
    if ((flags & flag.bit) != 0) out += std::string(" ") + flag.name;
    flags &= ~flag.bit;
  }
  if (flags == 0) return out;
  char rest[16];
  std::snprintf(rest, sizeof rest, " %#x", flags);
  return out + rest;
}

// By any socket at all: not every profile has one of netlink or the internet.
void interface_line(int socket, const std::string& name) {
  ifreq request = {};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  if (::ioctl(socket, SIOCGIFFLAGS, &request) != 0)
    return say("interface " + name + " " + ::strerrorname_np(errno));
  say("interface " + name +
      words_of(static_cast<std::uint16_t>(request.ifr_flags), {{IFF_UP, "up"},
                                                               {IFF_RUNNING, "running"},
                                                               {IFF_LOOPBACK, "loopback"},
                                                               {IFF_BROADCAST, "broadcast"},
                                                               {IFF_MULTICAST, "multicast"},
                                                               {IFF_POINTOPOINT, "pointtopoint"},
                                                               {IFF_NOARP, "noarp"},
                                                               {IFF_PROMISC, "promisc"}}));
}

std::string shown(int family, const void* address) {
  char text[INET6_ADDRSTRLEN];
  return ::inet_ntop(family, address, text, sizeof text) != nullptr ? text : "?";
}

// Of the hexadecimal digits of the kernel's lists: 32 of IPv6 in the order of the network, 8 of
// IPv4 as a number of this machine.
std::string shown6(const char* digits) {
  std::array<unsigned char, 16> bytes = {};
  for (unsigned char& byte : bytes) {
    unsigned value = 0;
    std::sscanf(digits, "%2x", &value);
    byte = static_cast<unsigned char>(value);
    digits += 2;
  }
  return shown(AF_INET6, bytes.data());
}

void address_lines(int socket) {
  std::array<ifreq, 256> found = {};
  ifconf list = {};
  list.ifc_len = sizeof found;
  list.ifc_req = found.data();
  if (::ioctl(socket, SIOCGIFCONF, &list) != 0)
    return say(std::string("address ? ") + ::strerrorname_np(errno));
  const std::size_t count = static_cast<std::size_t>(list.ifc_len) / sizeof(ifreq);
  for (std::size_t i = 0; i < count; ++i) {
    sockaddr_in address = {};
    std::memcpy(&address, &found[i].ifr_addr, sizeof address);
    say(std::string("address ") + found[i].ifr_name + " " + shown(AF_INET, &address.sin_addr));
  }
  for (const std::string& line : read_lines("/proc/net/if_inet6")) {
    char digits[33];
    char name[33];
    unsigned prefix = 0;
    if (std::sscanf(line.c_str(), "%32s %*x %x %*x %*x %32s", digits, &prefix, name) == 3)
      say(std::string("address ") + name + " " + shown6(digits) + "/" + std::to_string(prefix));
  }
}

constexpr unsigned kUp = 1, kGateway = 2, kHost = 4, kReject = 0x200;  // RTF_*

std::string route_flags(unsigned flags) {
  std::string out;
  if ((flags & kUp) != 0) out += " up";
  if ((flags & kGateway) != 0) out += " gateway";
  if ((flags & kHost) != 0) out += " host";
  if ((flags & kReject) != 0) out += " reject";
  return out;
}

// Each once: kernels list what leads to the machine itself in one table or in two.
void route_lines() {
  std::set<std::string> routes;
  for (const std::string& line : read_lines("/proc/net/route")) {
    char name[33];
    unsigned to = 0;
    unsigned gateway = 0;
    unsigned flags = 0;
    unsigned mask = 0;
    if (std::sscanf(line.c_str(), "%32s %x %x %x %*s %*s %*s %x", name, &to, &gateway, &flags,
                    &mask) == 5)
      routes.insert(shown(AF_INET, &to) + "/" + shown(AF_INET, &mask) + " by " +
                    shown(AF_INET, &gateway) + " " + name + route_flags(flags));
  }
  for (const std::string& line : read_lines("/proc/net/ipv6_route")) {
    char to[33];
    char from[33];
    char gateway[33];
    char name[33];
    unsigned prefix = 0;
    unsigned flags = 0;
    if (std::sscanf(line.c_str(), "%32s %x %32s %*x %32s %*x %*x %*x %x %32s", to, &prefix, from,
                    gateway, &flags, name) == 6)
      routes.insert(shown6(to) + "/" + std::to_string(prefix) + " by " + shown6(gateway) + " " +
                    name + route_flags(flags));
  }
  for (const std::string& route : routes) say("route " + route);
}

}  // namespace

void network_lines() {
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (const std::string& line : read_lines("/proc/net/dev")) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t from = line.find_first_not_of(' ');
    interface_line(socket, line.substr(from, colon - from));
  }
  address_lines(socket);
  if (socket >= 0) ::close(socket);
  route_lines();
  for (const char* table : {"arp", "unix", "tcp", "udp", "packet"}) {
    const std::size_t lines = read_lines(std::string("/proc/net/") + table).size();
    say(std::string("network ") + table + " " + std::to_string(lines > 0 ? lines - 1 : 0));
  }
}

}  // namespace tare::sandbox::posture
