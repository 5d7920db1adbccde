// Socket families, the host's names, and descriptors that are passed (ATTACKS.md S4, S26).
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "attack.h"

namespace tare::attack {

namespace {

void families() {
  for (int family = 0; family < 64; ++family) {
    if (family == AF_UNIX) continue;
    for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW, SOCK_RDM}) {
      const bool internet = family == AF_INET || family == AF_INET6;
      for (const int protocol : {0, 1, 6, 9, 12, 17, 33, 58, 132, 136, 255, 262}) {
        const bool routes = family == AF_NETLINK && protocol == 0;
        if (routes) continue;  // getifaddrs: its own namespace's
        const bool tcp = type == SOCK_STREAM && (protocol == 0 || protocol == 6);
        const bool udp = type == SOCK_DGRAM && (protocol == 0 || protocol == 17);
        if (internet && (tcp || udp)) continue;
        const int fd = ::socket(family, type | SOCK_CLOEXEC, protocol);
        report_fd("socket " + std::to_string(family) + " " + std::to_string(type) + " " +
                      std::to_string(protocol),
                  fd);
      }
    }
  }
  report_fd("socket with high bits",
            static_cast<int>(
                raw(SYS_socket, static_cast<long>(0x1'0000'0000UL | AF_PACKET), SOCK_RAW, 0)));
}

void connect_unix(const std::string& name, const std::string& path) {
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path.data(), path.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    report("connect " + name, ::connect(fd, reinterpret_cast<sockaddr*>(&to), size));
    ::close(fd);
  }
}

void connect_port(const char* name, in_addr_t address_of, std::uint16_t port) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = ::htonl(address_of);
  to.sin_port = ::htons(port);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  report(std::string("connect ") + name + ":" + std::to_string(port),
         ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to));
  ::close(fd);
}

// A descriptor of the root, passed to itself: it leads where the root leads, and nowhere else.
void passed_descriptor() {
  std::array<int, 2> ends = {};
  ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data());
  const int root = ::open("/proc/self/root", O_PATH | O_CLOEXEC);
  char byte = 'x';
  iovec bytes = {&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof root);
  std::memcpy(CMSG_DATA(header), &root, sizeof root);
  ::sendmsg(ends[0], &message, 0);
  ::recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC);
  int got = -1;
  std::memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
  struct stat here = {};
  struct stat there = {};
  ::stat("/", &here);
  ::fstatat(got, "../../..", &there, 0);
  if (here.st_ino == there.st_ino && here.st_dev == there.st_dev) {
    harmless("a passed root", "the root of the sandbox");
  } else {
    report("a passed root", 0);
  }
  // Somebody else's name on a message.
  ucred forged = {1, 0, 0};
  message.msg_control = control.data();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> credentials = {};
  message.msg_control = credentials.data();
  message.msg_controllen = credentials.size();
  header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_CREDENTIALS;
  header->cmsg_len = CMSG_LEN(sizeof forged);
  std::memcpy(CMSG_DATA(header), &forged, sizeof forged);
  report("credentials of PID 1", ::sendmsg(ends[0], &message, 0));
}

// Asked of a socket that everybody has.
void ioctl_of_any(const char* name, unsigned long request, const char* device) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq about = {};
  std::strcpy(about.ifr_name, device);
  report(std::string("ioctl ") + name, ::ioctl(fd, request, &about));
  ::close(fd);
}

void tcp_option(const char* name, int option, const char* value) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(std::strlen(value));
  report(name, fd < 0 ? fd : ::setsockopt(fd, IPPROTO_TCP, option, value, size));
  if (fd >= 0) ::close(fd);
}

}  // namespace

// Each is refused before the kernel looks for a module, by the filter or for want of a capability
// on the host.
void attack_modules() {
  constexpr unsigned long kDlci = 0x8980;  // SIOCADDDLCI, before 5.13
  constexpr int kTcpAoAddKey = 38;         // from 6.7 on
  ioctl_of_any("SIOCGIFBR", SIOCGIFBR, "");
  ioctl_of_any("SIOCSIFBR", SIOCSIFBR, "");
  ioctl_of_any("SIOCBRADDBR", SIOCBRADDBR, "");
  ioctl_of_any("SIOCBRDELBR", SIOCBRDELBR, "");
  ioctl_of_any("SIOCGIFVLAN", SIOCGIFVLAN, "");
  ioctl_of_any("SIOCSIFVLAN", SIOCSIFVLAN, "");
  ioctl_of_any("SIOCADDDLCI", kDlci, "");
  ioctl_of_any("SIOCDELDLCI", kDlci + 1, "");
  ioctl_of_any("of a device that is not there", SIOCGIFINDEX, "tare-none");
  tcp_option("TCP_CONGESTION", TCP_CONGESTION, "tare-none");
  tcp_option("TCP_ULP", TCP_ULP, "tls");
  tcp_option("TCP_AO_ADD_KEY", kTcpAoAddKey, "");
  report_fd("socket of no family", ::socket(AF_UNSPEC, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  report_fd("socket of SCTP", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
}

void attack_sockets() {
  families();
  // What the test listens on, on the host.
  connect_unix("abstract", std::string("\0tare-attack-abstract", 21));
  connect_unix("path", "/tmp/tare-attack.sock");
  for (const char* path : {"/run/dbus/system_bus_socket", "/run/docker.sock",
                           "/var/run/docker.sock", "/run/launcher.sock", "/run/systemd/private"})
    connect_unix(path, path);
  for (const std::uint16_t port : {std::uint16_t{22}, std::uint16_t{80}, std::uint16_t{45454}})
    connect_port("loopback", INADDR_LOOPBACK, port);
  connect_port("metadata", 0xA9FEA9FE, 80);  // 169.254.169.254
  connect_port("outside", 0x01010101, 443);
  passed_descriptor();
}

}  // namespace tare::attack
