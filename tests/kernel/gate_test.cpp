// The gate of a launch: tared sends the launch while the run's row is still on its way to the disk,
// and nothing of the run begins before the gate opens.
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/launcher.h"
#include "support/patience.h"
#include "sys/files.h"
#include "sys/process.h"

namespace tare::testing {
namespace {

using model::EndReason;
using sandbox::EndedMessage;
using sandbox::StartedMessage;

std::vector<std::string> listed(TestLauncher& launcher) {
  launcher.send(sandbox::ListMessage{});
  std::vector<std::string> ids;
  for (;;) {
    const auto message = launcher.next();
    if (const auto* live = std::get_if<sandbox::LiveMessage>(&message)) ids.push_back(live->id);
    if (std::holds_alternative<sandbox::ListedMessage>(message)) return ids;
  }
}

// The next `ended`; whatever else comes before it is passed over.
EndedMessage next_end(TestLauncher& launcher) {
  for (;;) {
    const auto message = launcher.next();
    if (const auto* ended = std::get_if<EndedMessage>(&message)) return *ended;
  }
}

TEST(Gate, nothing_of_a_run_begins_before_its_gate_opens) {
  TestLauncher launcher;
  auto live = launcher.launch(shell_spec("echo begun"), TestLauncher::Gate::closed);
  sys::pause_ms(patience_ms(300));
  EXPECT_FALSE(launcher.has_message());
  ASSERT_TRUE(sys::write_all(live.gate.get(), "g"));
  const RunResult result = launcher.finish(std::move(live));
  EXPECT_EQ(result.ended.outcome.reason, EndReason::exited);
  EXPECT_EQ(result.out, "begun\n");
  ASSERT_TRUE(result.started);
  EXPECT_GE(result.started->gate_us, 100'000U);  // most of the wait was not the launcher's
}

TEST(Gate, a_launch_whose_gate_closes_never_was) {
  TestLauncher launcher;
  auto live = launcher.launch(shell_spec("echo begun"), TestLauncher::Gate::closed);
  live.gate.reset();
  const EndedMessage ended = next_end(launcher);
  EXPECT_TRUE(ended.never_began);
  EXPECT_EQ(ended.id, live.id);
  EXPECT_EQ(read_to_end(live.out.get()), "");
  EXPECT_TRUE(listed(launcher).empty());
}

// The first sandbox is taken down while the second one runs under the same name.
TEST(Gate, a_run_launched_again_after_its_gate_closed_can_be_listed_and_killed) {
  TestLauncher launcher;
  for (int i = 0; i < 10; ++i) {
    const model::SandboxSpec spec = shell_spec("exec sleep 60");
    auto first = launcher.launch(spec, TestLauncher::Gate::closed);
    first.gate.reset();
    ASSERT_TRUE(next_end(launcher).never_began);
    auto second = launcher.launch(spec);
    const auto started = launcher.next();
    ASSERT_TRUE(std::holds_alternative<StartedMessage>(started));
    ::usleep(100'000);
    EXPECT_EQ(listed(launcher), std::vector{spec.id});
    launcher.send(sandbox::KillMessage{spec.id});
    const EndedMessage ended = next_end(launcher);
    EXPECT_EQ(ended.id, spec.id);
    EXPECT_EQ(ended.outcome.reason, EndReason::killed);
    launcher.send(sandbox::ReleaseMessage{spec.id});
  }
}

TEST(Gate, a_run_can_be_killed_while_it_waits_at_its_gate) {
  TestLauncher launcher;
  const auto live = launcher.launch(shell_spec("echo begun"), TestLauncher::Gate::closed);
  ::usleep(50'000);
  launcher.send(sandbox::KillMessage{live.id});
  const EndedMessage ended = next_end(launcher);
  EXPECT_FALSE(ended.never_began);
  EXPECT_EQ(ended.outcome.reason, EndReason::killed);
  EXPECT_EQ(read_to_end(live.out.get()), "");
  launcher.send(sandbox::ReleaseMessage{live.id});
}

}  // namespace
}  // namespace tare::testing
