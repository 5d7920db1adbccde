// All that a program inside a sandbox has and can reach, compared line by line with reviewed files:
// tests/golden/posture_*.txt (support/posture.h). What is more, less or different fails;
// TARE_UPDATE_GOLDEN=1 writes them anew, and the difference is then reviewed like code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "layers.h"
#include "support/patience.h"
#include "support/posture.h"
#include "support/session.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "/input/tare-posture";

// What tared gives a program of `user` (src/host/spec.cpp), which has been compared with what it
// gives by e2e/sandbox_view_test.py.
std::vector<std::string> variables(const std::string& user, const std::string& run) {
  return {"HOME=/home/agent",
          "LANG=C.UTF-8",
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "TARE_RUN=" + run,
          "TZ=UTC",
          "USER=" + user};
}

model::SandboxSpec posture_spec() {
  model::SandboxSpec spec = host_spec({kProgram});
  spec.with_input = true;
  spec.env = variables("agent", spec.id);
  return spec;
}

model::SandboxSpec posture_of_root() {
  model::SandboxSpec spec = posture_spec();
  spec.uid = spec.gid = 0;
  spec.env = variables("root", spec.id);
  return spec;
}

void put_program(const TestLauncher& launcher, const model::SandboxSpec& spec) {
  const std::string input = launcher.home() + "/runs/" + spec.id + "/input";
  fs::create_directories(input);
  fs::copy_file(bin_dir() + "/tare-posture", input + "/tare-posture");
  ::chmod((input + "/tare-posture").c_str(), 0755);
}

std::string said_in(const model::SandboxSpec& spec) {
  TestLauncher launcher;
  put_program(launcher, spec);
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, model::EndReason::exited) << result.ended.outcome.message;
  EXPECT_EQ(result.err, "");
  return result.out;
}

void expect_posture(const Reviewed& reviewed, const model::SandboxSpec& spec) {
  const std::string said = said_in(spec);
  if (std::getenv("TARE_UPDATE_GOLDEN") != nullptr) update_posture(said, reviewed);
  EXPECT_EQ(posture_differences(said, reviewed), "") << reviewed.name;
}

TEST(Posture, an_agent_has_this_and_nothing_else) {
  expect_posture({.name = "agent"}, posture_spec());
}

TEST(Posture, root_inside_has_no_more_than_this) {
  expect_posture({.name = "root"}, posture_of_root());
}

TEST(Posture, the_strict_profile_has_less) {
  model::SandboxSpec spec = posture_spec();
  spec.profile = model::Profile::strict;
  expect_posture({.name = "strict"}, spec);
  const std::string said = said_in(spec);
  for (const char* more :
       {"- call socket(INET) ALLOWED\n", "- call socket(INET,datagram) ALLOWED\n",
        "- call socket(NETLINK,route) ALLOWED\n"})
    EXPECT_THAT(posture_differences(said, {.name = "agent"}), ::testing::HasSubstr(more));
}

TEST(Posture, the_build_profile_has_this) {
  model::SandboxSpec spec = posture_spec();
  spec.profile = model::Profile::build;
  expect_posture({.name = "build"}, spec);
}

// The one kind of sandbox with the host's network.
TEST(Posture, a_program_of_an_environment_build_has_this) {
  model::SandboxSpec spec = posture_of_root();
  spec.profile = model::Profile::build;
  spec.network = model::Network::host;
  expect_posture({.name = "environment_build", .host_network = true}, spec);
}

TEST(Posture, an_exec_has_what_the_program_of_a_run_has_but_for_what_is_stated) {
  TestLauncher launcher;
  model::SandboxSpec spec = posture_spec();
  spec.session = true;
  put_program(launcher, spec);
  TestSession session(launcher, spec);
  model::ExecSpec exec = exec_spec({kProgram});
  exec.env = spec.env;
  const ExecResult result = session.run(exec);
  EXPECT_EQ(result.outcome.exit_code, 0) << result.outcome.message;
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(posture_differences(result.out, {.name = "agent", .changes = {"exec"}}), "");
  session.kill();
}

// As a terminal shows it, without its carriage returns.
std::string shown_on(const sys::UniqueFd& master) {
  std::string shown;
  pollfd wait = {master.get(), POLLIN, 0};
  char buffer[4096];
  while (::poll(&wait, 1, patience_ms(20'000)) == 1) {
    const ssize_t n = ::read(master.get(), buffer, sizeof buffer);
    if (n <= 0) break;  // EIO: nobody has the other end any more
    shown.append(buffer, static_cast<std::size_t>(n));
  }
  std::erase(shown, '\r');
  return shown;
}

TEST(Posture, an_exec_on_a_terminal_has_what_an_exec_has_but_for_what_is_stated) {
  TestLauncher launcher;
  model::SandboxSpec spec = posture_spec();
  spec.session = true;
  put_program(launcher, spec);
  TestSession session(launcher, spec);
  model::ExecSpec exec = exec_spec({kProgram});
  exec.env = spec.env;
  exec.terminal = model::TerminalSize{33, 111};
  const ExecHandle handle = session.start(exec);
  const auto master = session.started(handle.number);
  ASSERT_TRUE(master);
  const std::string said = shown_on(*master);
  EXPECT_EQ(session.ended(handle.number).outcome.exit_code, 0);
  EXPECT_EQ(posture_differences(said, {.name = "agent", .changes = {"exec", "exec_terminal"}}), "");
  session.kill();
}

// Of layers in the place of the host's root, with a runner over it.
std::string said_on_layers(model::SandboxSpec spec) {
  TestLauncher launcher;
  put_program(launcher, spec);
  spec.host_root = false;
  spec.layers = make_layers(launcher);
  spec.runner = make_runner(launcher);
  const std::string lowest = launcher.home() + "/store/layers/" + spec.layers[0].substr(7) +
                             "/root/";
  for (const char* folder : {"mnt", "root", "run", "usr", "var/tmp"})
    fs::create_directories(lowest + folder);
  ::chmod((lowest + "var/tmp").c_str(), 01777);
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, model::EndReason::exited) << result.ended.outcome.message;
  EXPECT_EQ(result.err, "");
  return result.out;
}

TEST(Posture, an_agent_in_an_environment_with_a_runner_has_what_it_has_on_the_hosts_files) {
  const std::string said = said_on_layers(posture_spec());
  EXPECT_EQ(posture_differences(said, {.name = "agent", .changes = {"layers"}}), "");
}

TEST(Posture, root_in_an_environment_with_a_runner_has_what_it_has_on_the_hosts_files) {
  const std::string said = said_on_layers(posture_of_root());
  EXPECT_EQ(posture_differences(said, {.name = "root", .changes = {"layers", "layers_root"}}), "");
}

// "limit", "file read": what a line is about.
std::string kind_of(const std::string& line) {
  const std::size_t space = line.find(' ');
  return line.substr(0, line.starts_with("file ") ? line.find(' ', space + 1) : space);
}

std::string changed(const std::string& line) {
  if (!line.starts_with("namespace ")) return line + "x";
  const std::string name = line.substr(0, line.rfind(' '));
  return name + " " + fs::read_symlink("/proc/self/ns/" + name.substr(name.find(' ') + 1)).string();
}

// That the tests above can fail, by each kind of line.
TEST(Posture, a_line_of_any_kind_that_is_missing_or_changed_is_a_difference) {
  const Reviewed reviewed = {.name = "agent"};
  const std::string said = said_in(posture_spec());
  ASSERT_EQ(posture_differences(said, reviewed), "");
  std::set<std::string> kinds;
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("sessionid ") || !kinds.insert(kind_of(line)).second) continue;
    const std::size_t at = said.find(line + "\n");
    const std::string before = said.substr(0, at);
    const std::string after = said.substr(at + line.size() + 1);
    EXPECT_NE(posture_differences(before + after, reviewed), "") << line;
    EXPECT_NE(posture_differences(before + changed(line) + "\n" + after, reviewed), "") << line;
  }
  for (const char* kind :
       {"terminal",   "status",      "namespace", "descriptor", "limit",     "mount",
        "process",    "writable",    "file list", "file link",  "file read", "file open",
        "file write", "file masked", "device",    "interface",  "address",   "route",
        "network",    "keyring",     "landlock",  "call",       "variable"})
    EXPECT_TRUE(kinds.contains(kind)) << kind;
  for (const char* more : {"file read /proc: interrupts", "file write /proc/sys/kernel: hostname",
                           "file list /proc: 1", "file read /proc/1: status",
                           "file read /sys/kernel: notes", "variable SECRET=x"})
    EXPECT_NE(posture_differences(said + more + "\n", reviewed), "") << more;
  std::string odd = said;
  odd.replace(odd.find("TARE_RUN=run_"), 13, "TARE_RUN=no__");
  EXPECT_NE(posture_differences(odd, reviewed), "");
}

// Of this process, and so of the launcher it starts: limits, a score, ignored signals. Soft limits:
// hard ones do not come back everywhere. Signals by the kernel's call: libc's refuses 32 and 33.
class OddStart {
 public:
  OddStart() {
    for (std::size_t i = 0; i < kOdd.size(); ++i) {
      const auto [resource, soft] = kOdd[i];
      EXPECT_EQ(::getrlimit(resource, &before_[i]), 0);
      const rlimit odd = {soft, before_[i].rlim_max};
      EXPECT_EQ(::setrlimit(resource, &odd), 0);
    }
    score("500");
    constexpr KernelAction kIgnore = {1};  // SIG_IGN
    for (std::size_t i = 0; i < kIgnored.size(); ++i)
      EXPECT_EQ(::syscall(SYS_rt_sigaction, kIgnored[i], &kIgnore, &actions_[i], 8), 0);
  }
  ~OddStart() {
    for (std::size_t i = 0; i < kIgnored.size(); ++i)
      ::syscall(SYS_rt_sigaction, kIgnored[i], &actions_[i], nullptr, 8);
    for (std::size_t i = 0; i < kOdd.size(); ++i) ::setrlimit(kOdd[i].first, &before_[i]);
    score("0");
  }

 private:
  static void score(const char* value) { std::ofstream("/proc/self/oom_score_adj") << value; }
  static constexpr std::array<std::pair<__rlimit_resource_t, rlim_t>, 6> kOdd = {
      {{RLIMIT_STACK, 1 << 20},
       {RLIMIT_CORE, 0},
       {RLIMIT_NPROC, 10'000},
       {RLIMIT_CPU, 3'000},
       {RLIMIT_FSIZE, 1U << 30},
       {RLIMIT_AS, 1ULL << 40}}};
  using KernelAction = std::array<std::uint64_t, 4>;
  static constexpr std::array<int, 5> kIgnored = {SIGINT, SIGTERM, 32, 33, 64};
  std::array<rlimit, kOdd.size()> before_ = {};
  std::array<KernelAction, kIgnored.size()> actions_ = {};
};

TEST(Posture, it_is_the_same_whoever_started_the_launcher) {
  const OddStart odd;
  expect_posture({.name = "agent"}, posture_spec());
}

}  // namespace
}  // namespace tare::testing
