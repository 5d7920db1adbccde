// Many sandboxes at once: what each takes, and what happens to the one too many.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "attacks.h"
#include "support/leaks.h"
#include "support/patience.h"

namespace tare::testing {
namespace {

using model::EndReason;

long free_kib() {
  std::ifstream memory("/proc/meminfo");
  std::string key;
  long kib = 0;
  while (memory >> key && key != "MemAvailable:") memory.ignore(256, '\n');
  memory >> kib;
  return kib;
}

TEST(Crowd, a_sandbox_for_which_no_descriptor_is_left_is_refused_and_the_others_go_on) {
  constexpr std::uint64_t kOpenFiles = 400;
  constexpr int kLaunches = 80;
  TestLauncher launcher(TestLauncher::Home::folder, 0, kOpenFiles);
  std::vector<std::string> started, refused;
  std::vector<TestLauncher::Live> live;
  const auto small = [](std::vector<std::string> argv) {
    model::SandboxSpec spec = host_spec(std::move(argv));
    spec.id = fresh_run_id();
    spec.limits.open_files = kOpenFiles / 2;
    return spec;
  };
  for (int i = 0; i < kLaunches; ++i)
    live.push_back(launcher.launch(small({"/usr/bin/sleep", "1000"})));
  while (started.size() + refused.size() < kLaunches) {
    const auto message = launcher.next();
    if (const auto* up = std::get_if<sandbox::StartedMessage>(&message)) started.push_back(up->id);
    const auto* ended = std::get_if<sandbox::EndedMessage>(&message);
    if (ended == nullptr) continue;
    EXPECT_EQ(ended->outcome.reason, EndReason::setup_failed);
    EXPECT_THAT(ended->outcome.message, ::testing::HasSubstr("400 files open"));
    refused.push_back(ended->id);
  }
  EXPECT_GT(started.size(), 5U);
  EXPECT_GT(refused.size(), 5U);
  for (const std::string& id : started) launcher.send(sandbox::KillMessage{id});
  for (std::size_t ended = 0; ended < started.size();) {
    const auto message = launcher.next();
    const auto* end = std::get_if<sandbox::EndedMessage>(&message);
    if (end == nullptr) continue;
    launcher.send(sandbox::ReleaseMessage{end->id});
    ++ended;
  }
  EXPECT_EQ(launcher.run(small({"/bin/sh", "-c", "exit 7"})).ended.outcome.exit_code, 7);
}

// Each is told of when its memory limit kills, and costs root nothing that a user has few of
// (inotify(7): 128 instances).
TEST(Crowd, two_hundred_live_at_once_and_the_last_ones_memory_limit_holds) {
  constexpr int kCrowd = 200;
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  ASSERT_EQ(launcher.fill(host_spec({"/usr/bin/sleep", "100000"}), kCrowd), kCrowd);
  model::SandboxSpec last = host_spec({"/usr/bin/python3", "-c", "x = b'x' * (1 << 30)"});
  last.id = fresh_run_id();
  last.limits.memory_bytes = std::uint64_t{32} << 20;
  EXPECT_EQ(launcher.run(last).ended.outcome.reason, EndReason::memory_limit);
  launcher.send(sandbox::AskPoolMessage{});
  auto message = launcher.next();
  while (!std::holds_alternative<sandbox::PoolMessage>(message)) message = launcher.next();
  const auto& counters = std::get<sandbox::PoolMessage>(message);
  // Where there is a unified hierarchy each was born in its cgroup there.
  const bool unified = launcher.cgroup_mode() != "v1";
  EXPECT_EQ(counters.moved, unified ? 0U : kCrowd + 1U);
}

// Waiting ones: nothing in them but tare-init, before any program. Launches that find none double
// what the pool wants.
TEST(Crowd, two_thousand_empty_sandboxes_wait_at_once) {
  if (std::getenv("TARE_MANY") == nullptr) GTEST_SKIP() << "./dev test full";
  constexpr int kCrowd = 2000;
  TestLauncher launcher(TestLauncher::Home::folder, kCrowd);
  (void)launcher.run(shell_spec("true"));
  const long before = free_kib();
  (void)launcher.burst(shell_spec("true"), 20);
  std::uint64_t idle = 0;
  for (int i = 0; i < patience_ms(2000) && std::cmp_less(idle, kCrowd); ++i) {
    ::usleep(50'000);
    launcher.send(sandbox::AskPoolMessage{});
    idle = std::get<sandbox::PoolMessage>(launcher.next()).idle;
    if (i % 200 == 199) (void)launcher.burst(shell_spec("true"), 1);  // still wanted
  }
  EXPECT_EQ(idle, std::uint64_t{kCrowd});
  std::printf("%d empty sandboxes: %ld KiB of the machine's memory each\n", kCrowd,
              (before - free_kib()) / kCrowd);
}

TEST(Crowd, two_thousand_sandboxes_live_at_once) {
  if (std::getenv("TARE_MANY") == nullptr) GTEST_SKIP() << "./dev test full";
  constexpr int kCrowd = 2000;
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  (void)launcher.run(shell_spec("true"));
  const long before = free_kib();
  EXPECT_EQ(launcher.fill(host_spec({"/usr/bin/sleep", "100000"}), kCrowd), kCrowd);
  std::printf("%d sandboxes: %ld KiB of the machine's memory each\n", kCrowd,
              (before - free_kib()) / kCrowd);
  EXPECT_GE(processes_of(launcher.home()).size(), std::size_t{2} * kCrowd);
}

}  // namespace
}  // namespace tare::testing
