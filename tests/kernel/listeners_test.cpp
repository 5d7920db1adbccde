// The sockets on which what a sandbox connects to arrives (make/listeners.h), and that there is no
// other way out (ATTACKS.md B5, B6, B42).
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "sandbox/make/listeners.h"
#include "support/launcher.h"
#include "support/stepper.h"
#include "sys/files.h"
#include "sys/process.h"
#include "sys/spawn.h"

namespace tare::testing {
namespace {

using model::EndReason;
using sandbox::Listening;
using sandbox::Transport;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

const std::vector<Listening> kUsual = {
    {Transport::tcp, 443}, {Transport::tcp, 3128}, {Transport::udp, 53}, {Transport::tcp, 53}};

// A run of a Python program in a sandbox with listeners, held before its first instruction.
class Listened {
 public:
  Listened(TestLauncher& launcher, const std::string& program, std::uint32_t uid = 1000)
      : launcher_(launcher) {
    const std::vector<pid_t> before = inits_of(launcher_.home());
    model::SandboxSpec spec = shell_spec({});
    spec.argv = {"/usr/bin/python3", "-c",
                 "import socket, struct, time\n"
                 "def tried(what):\n"
                 "  try: what(); return 'done'\n"
                 "  except OSError as error: return error.strerror\n" +
                     program};
    spec.uid = spec.gid = uid;
    live_ = launcher.launch(spec, TestLauncher::Gate::closed);
    // It is at its gate for good, but is being made still.
    for (int tries = 0; init_ < 0 && tries < 2'000; ++tries) {
      for (const pid_t pid : inits_of(launcher_.home()))
        if (std::ranges::find(before, pid) == before.end()) init_ = pid;
      sys::pause_ms(10);
    }
    const auto process = sys::Process::open(init_);
    if (!process) throw std::runtime_error("no sandbox was made");
    const std::string own = network_of("thread-self");
    auto made = sandbox::make_listeners(process->pidfd(), kUsual);
    EXPECT_TRUE(made.ok()) << made.error().message;
    if (made) sockets = std::move(*made);
    EXPECT_EQ(network_of("thread-self"), own);
  }

  // Its lines, when it has ended.
  std::vector<std::string> go() {
    EXPECT_TRUE(sys::write_all(live_.gate.get(), "g"));
    const RunResult result = launcher_.finish(std::move(live_));
    EXPECT_EQ(result.ended.outcome.reason, EndReason::exited) << result.err;
    EXPECT_EQ(result.ended.outcome.exit_code, 0) << result.err;
    std::vector<std::string> lines;
    std::istringstream in(result.out);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  static std::string network_of(const std::string& process) {
    return std::filesystem::read_symlink("/proc/" + process + "/ns/net");
  }

  std::vector<sys::UniqueFd> sockets;  // as kUsual

 private:
  TestLauncher& launcher_;
  TestLauncher::Live live_;
  int init_ = -1;
};

// What such a program prints, in a launcher's only sandbox.
std::vector<std::string> answers_of(const std::string& program, std::uint32_t uid = 1000) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  return Listened(launcher, program, uid).go();
}

std::string text_of(const sockaddr_in6& address) {
  std::array<char, INET6_ADDRSTRLEN> text;
  ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
  return text.data();
}

// Where those that wait at a listener wanted to go.
std::vector<std::string> wanted_at(int listener) {
  std::vector<std::string> all;
  for (;;) {
    const sys::UniqueFd one(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!one.valid()) return all;
    sockaddr_in6 own = {};
    socklen_t size = sizeof own;
    EXPECT_EQ(::getsockname(one.get(), reinterpret_cast<sockaddr*>(&own), &size), 0);
    all.push_back(text_of(own) + " " + std::to_string(::ntohs(own.sin6_port)));
  }
}

TEST(Listeners, a_connection_to_any_address_arrives_and_tells_where_it_wanted_to_go) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  Listened sandbox(launcher,
                   "for to in ('1.2.3.4', '127.0.0.1', '192.168.0.1', '169.254.169.254', '::1', "
                   "'2001:db8::7', 'fd00:ec2::254'):\n"
                   "  socket.create_connection((to, 443), 5)\n");
  ASSERT_THAT(sandbox.go(), ElementsAre());
  EXPECT_THAT(
      wanted_at(sandbox.sockets[0].get()),
      ElementsAre("::ffff:1.2.3.4 443", "::ffff:127.0.0.1 443", "::ffff:192.168.0.1 443",
                  "::ffff:169.254.169.254 443", "::1 443", "2001:db8::7 443", "fd00:ec2::254 443"));
  EXPECT_THAT(wanted_at(sandbox.sockets[1].get()), ElementsAre());
}

TEST(Listeners, a_datagram_arrives_with_its_destination) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  Listened sandbox(
      launcher,
      "for family, to in ((socket.AF_INET, '8.8.8.8'), (socket.AF_INET6, '2001:db8::8')):\n"
      "  socket.socket(family, socket.SOCK_DGRAM).sendto(to.encode(), (to, 53))\n");
  ASSERT_THAT(sandbox.go(), ElementsAre());
  std::vector<std::string> seen;
  for (int i = 0; i < 2; ++i) {
    std::array<char, 100> bytes;
    alignas(cmsghdr) std::array<char, 200> control;
    iovec part = {bytes.data(), bytes.size()};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(sandbox.sockets[2].get(), &message, 0);
    ASSERT_GT(size, 0);
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
      if (one->cmsg_type != IPV6_PKTINFO || one->cmsg_level != IPPROTO_IPV6) continue;
      sockaddr_in6 to = {};
      std::memcpy(&to.sin6_addr, CMSG_DATA(one), sizeof to.sin6_addr);
      seen.push_back(std::string(bytes.data(), static_cast<std::size_t>(size)) + " " + text_of(to));
    }
  }
  EXPECT_THAT(seen, ElementsAre("8.8.8.8 ::ffff:8.8.8.8", "2001:db8::8 2001:db8::8"));
}

TEST(Listeners, B42_all_other_ports_are_refused_by_the_kernel) {
  const auto answers = answers_of(
      "def ask(family, to, port):\n"
      "  udp = socket.socket(family, socket.SOCK_DGRAM); udp.settimeout(20)\n"
      "  udp.connect((to, port)); udp.send(b'hello'); udp.recv(1)\n"
      "for family, to in ((socket.AF_INET, '1.2.3.4'), (socket.AF_INET6, '2001:db8::7')):\n"
      "  for port in (1, 22, 25, 80, 444, 853, 3127, 8080, 65535):\n"
      "    print(tried(lambda: socket.create_connection((to, port), 20)))\n"
      "  for port in (80, 123, 443, 853, 3128): print(tried(lambda: ask(family, to, port)))\n");
  EXPECT_EQ(answers.size(), 28U);
  EXPECT_THAT(answers, Each("Connection refused"));
}

TEST(Listeners, B5_nothing_inside_can_listen_beside_them) {
  for (const std::uint32_t uid : {1000U, 0U}) {
    const auto answers = answers_of(
        "TCP, UDP, V4, V6 = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_INET, "
        "socket.AF_INET6\n"
        "def listen(family, kind, to, port, options):\n"
        "  one = socket.socket(family, kind)\n"
        "  for level, name in options: one.setsockopt(level, name, 1)\n"
        "  one.bind((to, port))\n"
        "  if kind == TCP: one.listen()\n"
        "S = socket.SOL_SOCKET\n"
        "ways = ((), ((S, socket.SO_REUSEADDR),), ((S, socket.SO_REUSEPORT),),\n"
        "        ((S, socket.SO_REUSEADDR), (S, socket.SO_REUSEPORT)))\n"
        "only = ((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),)\n"
        "for kind, port in ((TCP, 443), (TCP, 3128), (UDP, 53), (TCP, 53)):\n"
        "  for way in ways:\n"
        "    for to in ('', '127.0.0.1', '1.2.3.4', '0.0.0.0'):\n"
        "      print(tried(lambda: listen(V4, kind, to, port, way)))\n"
        "    for to in ('::', '::1', '2001:db8::7', '::ffff:127.0.0.1'):\n"
        "      print(tried(lambda: listen(V6, kind, to, port, way)))\n"
        "    for to in ('::', '::1'): print(tried(lambda: listen(V6, kind, to, port, "
        "way + only)))\n",
        uid);
    EXPECT_EQ(answers.size(), 160U);
    EXPECT_THAT(answers, Each(::testing::AnyOf("Address already in use", "Permission denied",
                                               "Cannot assign requested address")));
    EXPECT_THAT(answers, ::testing::Contains("Address already in use").Times(36)) << uid;
  }
}

// A hostile process may spoof its address (every one is its own), but not the socket it comes by.
TEST(Listeners, B6_a_connection_arrives_at_its_own_sandboxs_socket_whatever_address_it_has) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  const std::string
      one = "c = socket.socket(); c.bind(('10.0.0.2', 0)); c.connect(('10.0.0.1', 443))";
  Listened a(launcher, one), b(launcher, "pass");
  ASSERT_THAT(a.go(), ElementsAre());
  ASSERT_THAT(b.go(), ElementsAre());
  EXPECT_THAT(wanted_at(a.sockets[0].get()), ElementsAre("::ffff:10.0.0.1 443"));
  EXPECT_THAT(wanted_at(b.sockets[0].get()), ElementsAre());
}

TEST(Listeners, a_port_whose_listener_is_gone_is_refused) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  Listened sandbox(launcher,
                   "print(tried(lambda: socket.create_connection(('1.2.3.4', 443), 20)))");
  sandbox.sockets.clear();
  EXPECT_THAT(sandbox.go(), ElementsAre("Connection refused"));
}

// Whatever the host sends or receives, on any interface, while `program` runs inside.
TEST(Listeners, B42_no_packet_leaves) {
  const sys::UniqueFd capture(
      ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, ::htons(ETH_P_ALL)));
  ASSERT_TRUE(capture.valid());
  const int room = 32 << 20;
  ASSERT_EQ(::setsockopt(capture.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
  // The capture sees what is sent on the host's own lo, or it would prove nothing.
  const sys::UniqueFd own(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = ::htons(9);
  to.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  const std::string_view proof = "tare-proof-of-capture";
  ASSERT_GT(::sendto(own.get(), proof.data(), proof.size(), 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof to),
            0);

  TestLauncher launcher(TestLauncher::Home::folder, 0);
  Listened sandbox(
      launcher,
      "mark = b'tare-mark-that-must-not-leave'\n"
      "def send(family, to, port):\n"
      "  udp = socket.socket(family, socket.SOCK_DGRAM)\n"
      "  udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n"
      "  udp.sendto(mark, (to, port))\n"
      "sent = 0\n"
      "for port in (53, 443, 5353, 9):\n"
      "  for to in ('8.8.8.8', '127.0.0.1', '10.0.0.1', '224.0.0.251', '255.255.255.255'):\n"
      "    sent += tried(lambda: send(socket.AF_INET, to, port)) == 'done'\n"
      "  for to in ('2001:db8::7', '::1', 'ff02::fb%lo', 'ff02::1%lo'):\n"
      "    sent += tried(lambda: send(socket.AF_INET6, to, port)) == 'done'\n"
      "for port in (53, 443, 3128):\n"
      "  for to in ('8.8.8.8', '10.0.0.1', '2001:db8::7'):\n"
      "    c = socket.create_connection((to, port), 20); c.send(mark); sent += 1\n"
      "print('many' if sent >= 25 else sent)\n"
      "print(sorted(name for _, name in socket.if_nameindex()))\n");
  EXPECT_THAT(sandbox.go(), ElementsAre("many", "['lo']"));

  bool proved = false;
  std::array<char, 65536> packet;
  for (;;) {
    const ssize_t size = ::recv(capture.get(), packet.data(), packet.size(), 0);
    if (size < 0) break;
    const std::string_view bytes(packet.data(), static_cast<std::size_t>(size));
    proved = proved || bytes.find(proof) != std::string_view::npos;
    EXPECT_EQ(bytes.find("tare-mark-that-must-not-leave"), std::string_view::npos);
  }
  EXPECT_TRUE(proved);
}

TEST(Listeners, more_than_there_can_be_are_refused) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  Listened sandbox(launcher, "pass");
  const std::vector<Listening> many(sandbox::kMaxListeners + 1, {Transport::tcp, 80});
  const auto self = sys::Process::open(::getpid());
  EXPECT_EQ(sandbox::make_listeners(self->pidfd(), many).error().code, Errc::invalid);
  EXPECT_THAT(sandbox.go(), ElementsAre());
}

}  // namespace
}  // namespace tare::testing
