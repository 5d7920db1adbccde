// What the tenant of a slot could leave, by every way to leave something, and what the next tenant
// of that very slot finds (ATTACKS.md S35): nothing. tare-attack leaves and looks, from inside
// (attack/tenant.cpp); the network's own tables are looked at from outside, as nobody inside may.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "attacks.h"
#include "base/hash.h"
#include "base/random.h"
#include "support/leaks.h"
#include "support/stepper.h"
#include "sys/files.h"
#include "sys/netns.h"
#include "sys/spawn.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;
using model::EndReason;
using ::testing::HasSubstr;

// ---- Connections that the kernel tracks, in the network that this thread is in

const char* const kTracked = "/proc/thread-self/net/nf_conntrack";

std::string tracked() {
  return sys::read_file_at(sys::kCwd, kTracked, std::size_t{1} << 20).value_or("unreadable");
}

void put(std::string& into, const void* data, std::size_t size) {
  into.append(static_cast<const char*>(data), size);
  into.resize(NLA_ALIGN(into.size()));
}

std::string attribute(int type, const std::string& value) {
  nlattr head = {};
  head.nla_type = static_cast<std::uint16_t>(type);
  head.nla_len = static_cast<std::uint16_t>(sizeof head + value.size());
  std::string made;
  put(made, &head, sizeof head);
  put(made, value.data(), value.size());
  return made;
}

template <class T>
std::string attribute_of(int type, T value) {
  return attribute(type, std::string(reinterpret_cast<const char*>(&value), sizeof value));
}

std::string tuple(int type, std::uint16_t from, std::uint16_t to) {
  const std::uint32_t address = ::htonl(INADDR_LOOPBACK);
  const std::string ip = attribute_of(CTA_IP_V4_SRC, address) +
                         attribute_of(CTA_IP_V4_DST, address);
  const std::string ports = attribute_of(CTA_PROTO_NUM, std::uint8_t{IPPROTO_UDP}) +
                            attribute_of(CTA_PROTO_SRC_PORT, ::htons(from)) +
                            attribute_of(CTA_PROTO_DST_PORT, ::htons(to));
  return attribute(type | NLA_F_NESTED, attribute(CTA_TUPLE_IP | NLA_F_NESTED, ip) +
                                            attribute(CTA_TUPLE_PROTO | NLA_F_NESTED, ports));
}

// A sandbox has no rule that would make the kernel track anything: so one is put there. 0 or errno.
int track_a_connection() {
  struct Head {
    nlmsghdr message = {};
    nfgenmsg netfilter = {};
  } head;
  const std::string rest = tuple(CTA_TUPLE_ORIG, 4713, 4714) + tuple(CTA_TUPLE_REPLY, 4714, 4713) +
                           attribute_of(CTA_TIMEOUT, ::htonl(600));
  head.message.nlmsg_len = static_cast<std::uint32_t>(sizeof head + rest.size());
  head.message.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
  head.message.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  head.netfilter.nfgen_family = AF_INET;
  std::string request(reinterpret_cast<const char*>(&head), sizeof head);
  request += rest;
  const sys::UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket.valid()) return errno;
  if (::send(socket.get(), request.data(), request.size(), 0) < 0) return errno;
  struct {
    nlmsghdr message;
    nlmsgerr error;
    char rest[4096];
  } answer = {};
  if (::recv(socket.get(), &answer, sizeof answer, 0) < 0) return errno;
  return -answer.error.error;
}

// ---- Tenants

struct Home {
  TestLauncher& launcher;
  As as;
  bool image;  // the scratch space is one on a disk image
  std::string mark;
};

class Tenant {
 public:
  explicit Tenant(const Home& home, const std::string& variable = "") : home_(home) {
    spec_ = attack_spec(home.launcher, {"tenant", home.mark}, home.as);
    spec_.limits.memory_bytes = std::uint64_t{192} << 20;
    spec_.limits.disk_bytes = std::uint64_t{home.image ? 96U : 32U} << 20;
    spec_.with_stdin = true;
    if (!variable.empty()) spec_.env.push_back(variable);
    live_ = home.launcher.launch(spec_);
    const std::string said = answer();
    if (std::sscanf(said.c_str(), "base %u", &base_) != 1)
      throw std::runtime_error("no tenant: " + said);
    for (const int pid : processes_of(home.launcher.home())) {
      if (!is_init(pid) && is_tenant(pid)) pid_ = pid;
    }
    EXPECT_GT(pid_, 0);
    // ".../tare-<tag>/s<slot>-<how often it was leased>"
    const std::string cgroups = text_of("/proc/" + std::to_string(pid_) + "/cgroup");
    const std::string folder = cgroup_tag(home.launcher.home()) + "/s";
    const std::size_t at = cgroups.find(folder);
    EXPECT_NE(at, std::string::npos) << cgroups;
    if (at != std::string::npos)
      std::sscanf(cgroups.c_str() + at + folder.size(), "%d-%d", &slot_, &generation_);
    EXPECT_GT(generation_, 0) << cgroups;
    in_network([this] {
      const sys::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      socklen_t size = sizeof cookie_;
      EXPECT_EQ(::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie_, &size), 0);
    });
  }

  // What it says, but for the last line.
  std::string order(const std::string& word) {
    EXPECT_TRUE(sys::write_all(live_.in.get(), word + "\n").ok());
    return answer();
  }
  template <class Work>
  void in_network(Work work) const {
    const auto process = sys::Process::open(pid_);
    ASSERT_TRUE(process.ok());
    const auto inside = sys::InNetworkOf::enter(process->pidfd());
    ASSERT_TRUE(inside.ok());
    work();
  }
  void end() {
    live_.in.reset();
    home_.launcher.send(sandbox::CloseStdinMessage{live_.id});
    const RunResult result = home_.launcher.finish(std::move(live_));
    EXPECT_EQ(result.ended.outcome.reason, EndReason::exited) << result.ended.outcome.message;
    EXPECT_EQ(result.ended.uid_base, base_);
  }

  unsigned base() const { return base_; }  // host id of 0 inside, as it sees it itself
  int slot() const { return slot_; }
  int generation() const { return generation_; }
  std::uint64_t cookie() const { return cookie_; }  // of its network; never given twice

 private:
  static std::string text_of(const std::string& path) {
    return sys::read_file_at(sys::kCwd, path).value_or("");
  }
  static bool is_tenant(int pid) {
    return text_of("/proc/" + std::to_string(pid) + "/comm") == "attack\n";
  }
  std::string answer() {
    std::string said;
    char byte = 0;
    while (!said.ends_with("done\n") && ::read(live_.out.get(), &byte, 1) == 1) said += byte;
    if (!said.ends_with("done\n")) throw std::runtime_error("the tenant has ended: " + said);
    return said.substr(0, said.size() - std::strlen("done\n"));
  }

  const Home& home_;
  model::SandboxSpec spec_;
  TestLauncher::Live live_;
  unsigned base_ = 0;
  int pid_ = -1, slot_ = -1, generation_ = 0;
  std::uint64_t cookie_ = 0;
};

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

using Lines = std::vector<std::string>;

// Those that are in one of the two only.
Lines differing(const std::string& one, const std::string& other) {
  const auto sorted = [](const std::string& text) {
    std::istringstream words(text);
    Lines lines;
    for (std::string line; std::getline(words, line);) lines.push_back(line);
    std::ranges::sort(lines);
    return lines;
  };
  Lines found;
  std::ranges::set_symmetric_difference(sorted(one), sorted(other), std::back_inserter(found));
  return found;
}

// Without the last line, which says how much was looked at; that much it must be at least.
std::string looked(Tenant& tenant, const std::string& order) {
  std::string said = tenant.order(order);
  const std::size_t last = said.rfind("looked at ");
  EXPECT_NE(last, std::string::npos);
  if (last == std::string::npos) return said;
  EXPECT_GT(std::atoi(said.c_str() + last + std::strlen("looked at ")), 200);
  return said.substr(0, last);
}

// All that was searched, and how many of these had the mark.
std::pair<std::size_t, std::size_t> searched(const std::string& said) {
  return {count_of(said, "searched "), count_of(said, ": MARK\n")};
}

void expect_all_is_there(const std::string& list) {
  for (const char* folder : {"/tmp", "/var/tmp", "/home/agent", "/output", "/dev/shm"}) {
    for (const char* name : {"/left", "/left.d/.hidden"})
      EXPECT_THAT(list, HasSubstr("MARK in " + std::string(folder) + name + "\n"));
    for (const char* name : {"/left.d", "/left.link", "/left.fifo"})
      EXPECT_THAT(list, HasSubstr("name " + std::string(folder) + name + " mode "));
  }
  for (const char* name : {"/dev/mqueue/left", "/dev/shm/sem.left", "/dev/shm/left.shm",
                           "/tmp/left.sock", "/tmp/left.full"})
    EXPECT_THAT(list, HasSubstr("name " + std::string(name) + " mode "));
  for (const char* table : {"shm: 4", "sem: 4", "msg: 4"})
    EXPECT_THAT(list, HasSubstr("lines of /proc/sysvipc/" + std::string(table) + "\n"));
  for (const char* table : {"tcp: 22", "udp: 2", "unix: 3"})  // the listener; 20 in TIME_WAIT
    EXPECT_THAT(list, HasSubstr("lines of /proc/net/" + std::string(table) + "\n"));
  EXPECT_THAT(list, HasSubstr("processes: 2\n"));
  EXPECT_THAT(list, HasSubstr("\nenv SECRET=mine\n"));
}

bool kernel_tracks() {
  if (fs::exists(kTracked)) return true;
  std::printf(
      "no %s: this kernel tracks no connections (CONFIG_NF_CONNTRACK_PROCFS); that the "
      "next tenant's network is another one is asserted all the same\n",
      kTracked);
  return false;
}

// One who leaves; then others, until one is given the same slot.
void expect_nothing_is_left(const Home& home) {
  std::string fresh;
  {
    Tenant first(home);
    fresh = looked(first, "look");
    EXPECT_EQ(count_of(fresh, "MARK"), 0U) << fresh;
    for (const char* file : {"a memfd", "a deleted file of holes"}) {
      EXPECT_THAT(fresh, HasSubstr("in memory at first of " + std::string(file) + ": none\n"));
      EXPECT_THAT(fresh, HasSubstr("in memory when read of " + std::string(file) + ": some\n"));
    }
    const auto [kinds, found] = searched(looked(first, "control"));
    EXPECT_EQ(kinds, 14U);
    EXPECT_EQ(found, kinds);
    first.end();
  }
  Tenant last(home, "SECRET=mine");
  EXPECT_EQ(last.order("leave"), "");
  expect_all_is_there(last.order("list"));
  if (kernel_tracks()) {
    last.in_network([] {
      ASSERT_EQ(track_a_connection(), 0);
      EXPECT_THAT(tracked(), HasSubstr("sport=4713 dport=4714"));
    });
  }
  last.end();
  constexpr int kMost = 100;  // many more than rest at a time
  std::set<unsigned> others;
  for (int i = 0; i < kMost; ++i) {
    Tenant next(home);
    EXPECT_NE(next.cookie(), last.cookie());
    if (next.base() != last.base()) {
      others.insert(next.base());
      next.end();
      continue;
    }
    EXPECT_EQ(next.slot(), last.slot());
    EXPECT_GT(next.generation(), last.generation());
    EXPECT_GE(others.size(), 20U);  // the slot has had its rest
    EXPECT_EQ(differing(looked(next, "look"), fresh), Lines{});
    if (kernel_tracks()) next.in_network([] { EXPECT_EQ(tracked(), ""); });
    next.end();
    return;
  }
  FAIL() << "no slot was given again";
}

TEST(Attack, S35_the_next_tenant_finds_nothing_of_the_last_one) {
  TestLauncher launcher(TestLauncher::Home::folder, 1);
  SystemRandom random;
  for (const As as : {kAgent, kRoot}) {
    for (const bool image : {false, true}) {
      SCOPED_TRACE(std::string(as.name) + (image ? ", in an image" : ", in memory"));
      expect_nothing_is_left(
          {launcher, as, image, to_hex(sha256(std::to_string(random.next_u64())))});
    }
  }
}

}  // namespace
}  // namespace tare::testing
