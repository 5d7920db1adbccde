// SIGKILL of the launcher, kills at every moment of a launch, hostile words from tared: nothing is
// left behind, and the next launcher starts clean.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "support/launcher.h"
#include "support/leaks.h"

namespace tare::testing {
namespace {

using model::EndReason;

bool all_gone(const std::string& home) {
  for (int i = 0; i < 500; ++i) {
    if (processes_of(home).empty()) return true;
    ::usleep(10'000);
  }
  return false;
}

TEST(Crash, a_home_on_a_file_system_of_its_own_works) {
  TestLauncher launcher(TestLauncher::Home::below_a_mount);
  EXPECT_EQ(launcher.run(shell_spec("echo here")).out, "here\n");
}

TEST(Crash, sigkill_of_the_launcher_ends_every_process_and_the_next_start_sweeps) {
  TestLauncher launcher;
  auto live = launcher.launch(shell_spec("(setsid sleep 1000 &); echo up; sleep 1000"));
  char up[3];
  ASSERT_EQ(::read(live.out.get(), up, 3), 3);
  launcher.kill();
  EXPECT_TRUE(all_gone(launcher.home()));
  launcher.restart();
  EXPECT_EQ(launcher.run(shell_spec("echo again")).out, "again\n");
}

TEST(Crash, sigkill_of_the_launcher_at_many_moments_of_a_launch_leaves_nothing) {
  TestLauncher launcher;
  for (int delay_us = 0; delay_us < 12'000; delay_us += 1'000) {
    model::SandboxSpec spec = shell_spec("sleep 1000");
    if (delay_us % 2'000 != 0) spec.limits.disk_bytes = spec.limits.memory_bytes;  // an image
    auto live = launcher.launch(spec);
    ::usleep(static_cast<useconds_t>(delay_us));
    launcher.kill();
    EXPECT_TRUE(all_gone(launcher.home())) << delay_us;
    launcher.restart();
  }
  EXPECT_EQ(launcher.run(shell_spec("echo fine")).out, "fine\n");
}

TEST(Crash, a_kill_at_many_moments_of_a_launch_ends_the_run_once) {
  TestLauncher launcher;
  for (int delay_us = 0; delay_us < 15'000; delay_us += 500) {
    auto live = launcher.launch(shell_spec("sleep 1000"));
    ::usleep(static_cast<useconds_t>(delay_us));
    launcher.send(sandbox::KillMessage{live.id});
    const RunResult result = launcher.finish(std::move(live));
    EXPECT_EQ(result.ended.outcome.reason, EndReason::killed)
        << delay_us << result.ended.outcome.message;
  }
}

TEST(Crash, sandboxes_outlive_the_connection_and_are_listed_to_the_next_one) {
  TestLauncher launcher;
  auto live = launcher.launch(shell_spec("echo first; sleep 0.3; echo second; exit 5"));
  launcher.connect();  // as a restarted tared does; the old connection is dropped
  launcher.send(sandbox::ListMessage{});
  std::vector<sys::UniqueFd> fds;
  auto message = launcher.next(&fds);
  ASSERT_TRUE(std::holds_alternative<sandbox::LiveMessage>(message));
  EXPECT_EQ(std::get<sandbox::LiveMessage>(message).id, live.id);
  ASSERT_EQ(fds.size(), 2U);
  live.out = std::move(fds[0]);
  live.err = std::move(fds[1]);
  const RunResult result = launcher.finish(std::move(live));
  EXPECT_EQ(result.out, "first\nsecond\n");
  EXPECT_EQ(result.ended.outcome.exit_code, 5);
}

TEST(Crash, an_end_that_nobody_heard_is_told_again_until_it_is_released) {
  TestLauncher launcher;
  auto live = launcher.launch(shell_spec("exit 9"));
  for (int i = 0; i < 2;) {
    auto message = launcher.next();
    if (const auto* ended = std::get_if<sandbox::EndedMessage>(&message)) {
      EXPECT_EQ(ended->outcome.exit_code, 9);
      ++i;
      launcher.connect();
      launcher.send(sandbox::ListMessage{});
    }
  }
  while (!std::holds_alternative<sandbox::EndedMessage>(launcher.next())) {
  }
  launcher.send(sandbox::ReleaseMessage{live.id});
  launcher.send(sandbox::ListMessage{});
  EXPECT_TRUE(std::holds_alternative<sandbox::ListedMessage>(launcher.next()));
}

}  // namespace
}  // namespace tare::testing
