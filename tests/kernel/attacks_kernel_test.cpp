// The attacks of ATTACKS.md part S, each tried for real inside a live sandbox; the number is
// theirs. Here: the program's own rights, PID 1, and what it may ask of the kernel.
// docs/threat_model.md lists them all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "attacks.h"
#include "support/leaks.h"
#include "sys/fd.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

using ::testing::HasSubstr;

// After all that, it still does its work: it reaps, it tells the end, and it can be killed.
void expect_init_works(TestLauncher& launcher, As as) {
  model::SandboxSpec spec = shell_spec("(true &) ; (setsid sleep 100 &) ; exit 5");
  spec.uid = spec.gid = as.uid;
  EXPECT_EQ(launcher.run(spec).ended.outcome.exit_code, 5);
}

TEST(Attack, S3_pid_1_cannot_be_limited_slowed_signalled_or_read_not_even_by_root_inside) {
  TestLauncher launcher;
  for (const As as : {kAgent, kRoot, kStrict}) {
    EXPECT_GT(expect_refused(attacks_of(launcher, "pid1", as), as), 130U);
    expect_init_works(launcher, as);
  }
}

TEST(Attack, S3_the_folder_of_pid_1_in_proc_gives_nothing_and_takes_nothing) {
  TestLauncher launcher;
  for (const As as : {kAgent, kRoot, kBuilder}) {
    EXPECT_GT(expect_refused(attacks_of(launcher, "pid1_proc", as), as), 90U);
    expect_init_works(launcher, as);
  }
}

// tare-init was of tare-launcher's session once, and /proc/1/autogroup could be written by root
// inside: that weighed the launcher, and all of its session, against the rest of the host.
TEST(Attack, S3_the_weight_of_the_launchers_session_is_out_of_reach) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  const std::string weight = "/proc/" + std::to_string(launcher.pid()) + "/autogroup";
  const auto read = [&weight] { return sys::read_file_at(sys::kCwd, weight).value_or("none"); };
  const std::string before = read();
  for (const As as : {kRoot, kBuilder}) {
    model::SandboxSpec spec = shell_spec("echo 19 > /proc/1/autogroup; sleep 1000");
    spec.uid = spec.gid = as.uid;
    spec.profile = as.profile;
    auto live = launcher.launch(spec);
    ASSERT_TRUE(std::holds_alternative<sandbox::StartedMessage>(launcher.next()));
    for (const pid_t pid : processes_of(launcher.home())) {
      EXPECT_NE(::getsid(pid), ::getsid(launcher.pid())) << pid;
    }
    launcher.send(sandbox::KillMessage{live.id});
    (void)launcher.finish(std::move(live));
    EXPECT_EQ(read(), before);
  }
}

// Its own way out after an attack: the program ends by a signal of its own, a child by another.
TEST(Attack, S3_what_attacked_pid_1_is_still_reaped_killed_and_told_of) {
  TestLauncher launcher;
  model::SandboxSpec spec = attack_spec(launcher, {"pid1"}, kRoot);
  spec.argv = {"/bin/sh", "-c",
               "/input/attack pid1 >/dev/null; /input/attack pid1_proc >/dev/null; "
               "(setsid sleep 1000 &); echo attacked; sleep 1000"};
  auto live = launcher.launch(spec);
  char word[9];
  ASSERT_EQ(::read(live.out.get(), word, sizeof word), 9);
  launcher.send(sandbox::KillMessage{live.id});
  const RunResult result = launcher.finish(std::move(live));
  EXPECT_EQ(result.ended.outcome.reason, model::EndReason::killed);
}

TEST(Attack, S5_S27_S28_no_capability_id_set_id_file_or_device_lifts_a_program) {
  expect_refused("ids", {kAgent, kRoot});
}

TEST(Attack, S21_S22_S25_S30_the_calls_that_exploits_begin_with_are_refused) {
  expect_refused("calls", {kAgent, kRoot, kStrict});
}

TEST(Attack, S20_S30_what_the_kernel_would_load_a_module_for_is_refused) {
  expect_refused("modules", {kAgent, kRoot, kBuilder, kStrict},
                 {"EAFNOSUPPORT", "ENODEV", "ENOPROTOOPT"});
}

TEST(Attack, S23_other_tables_of_calls_are_closed) {
  expect_refused("abi", {kAgent, kRoot, kBuilder, kStrict}, {"SIGNAL 4", "ENXIO"});
}

TEST(Attack, S24_characters_cannot_be_put_into_a_terminal) {
  expect_refused("terminal", {kAgent, kRoot, kBuilder});
}

// What inside is a missing right is none outside: the attacks would do something. But for what not
// every kernel has, and answers alike then.
TEST(Attack, S22_the_same_calls_are_not_refused_where_nothing_stands_in_their_way) {
  TestLauncher launcher;
  const auto inside = attacks_of(launcher, "calls", kRoot);
  const std::set<std::string> not_everywhere = {
      "open_tree_attr",      // from 6.15 on
      "prctl MEMORY_MERGE",  // from 6.4 on, with CONFIG_KSM
      "madvise MERGEABLE"};  // with CONFIG_KSM
  const std::string command = "unshare -m -u -i -n setsid " TARE_BIN_DIR "/tare-attack calls";
  std::FILE* said = ::popen(command.c_str(), "r");
  ASSERT_NE(said, nullptr);
  const std::string outside = "\n" + read_to_end(::fileno(said));
  ::pclose(said);
  EXPECT_THAT(outside, HasSubstr("\ntried " + std::to_string(inside.size()) + "\n"));
  for (const Attack& attack : inside) {
    const bool alike = outside.find("\n" + attack.name + ": " + attack.answer + "\n") !=
                       std::string::npos;
    EXPECT_TRUE(!alike || not_everywhere.contains(attack.name))
        << attack.name << ": " << attack.answer << " outside, too";
  }
}

// Those that the sandbox asks for, on the host.
class HostListeners {
 public:
  HostListeners() {
    sockaddr_un abstract = {};
    abstract.sun_family = AF_UNIX;
    std::memcpy(abstract.sun_path, "\0tare-attack-abstract", 21);
    listen_on(AF_UNIX, abstract, offsetof(sockaddr_un, sun_path) + 21);
    sockaddr_un path = {};
    path.sun_family = AF_UNIX;
    std::strcpy(path.sun_path, kPath);
    ::unlink(kPath);
    listen_on(AF_UNIX, path, sizeof path);
    sockaddr_in port = {};
    port.sin_family = AF_INET;
    port.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    port.sin_port = ::htons(45454);
    listen_on(AF_INET, port, sizeof port);
  }
  ~HostListeners() { ::unlink(kPath); }

 private:
  static constexpr const char* kPath = "/tmp/tare-attack.sock";
  template <class Address>
  void listen_on(int family, const Address& address, std::size_t size) {
    sys::UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size)),
        0);
    EXPECT_EQ(::listen(fd.get(), 1), 0);
    listeners_.push_back(std::move(fd));
  }
  std::vector<sys::UniqueFd> listeners_;
};

TEST(Attack, S4_S26_sockets_lead_nowhere_and_descriptors_no_further_than_the_root) {
  const HostListeners listeners;
  expect_refused("sockets", {kAgent, kRoot},
                 {"EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT", "ECONNREFUSED",
                  "ENETUNREACH", "EPROTOTYPE"});
}

TEST(Attack, S31_other_names_and_loaders_give_a_program_nothing_more) {
  TestLauncher launcher;
  model::SandboxSpec spec = attack_spec(launcher, {"calls"}, kRoot);
  spec.argv.front() = "/proc/self/root/input/attack";
  const RunResult aliased = launcher.run(spec);
  EXPECT_THAT(aliased.out, HasSubstr("tried "));
  EXPECT_THAT(aliased.out, Not(HasSubstr(": DONE")));
  const RunResult loaded = launcher.run(
      host_spec({"/lib64/ld-linux-x86-64.so.2", "/usr/bin/grep", "-E",
                 "^(NoNewPrivs|Seccomp|CapEff):", "/proc/self/status"}));
  EXPECT_EQ(loaded.out, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

}  // namespace
}  // namespace tare::testing
