// Execs in a live sandbox: what comes in and out of them, how they end, and what outlives what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "sandbox/launch/report.h"
#include "support/leaks.h"
#include "support/session.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

using model::EndReason;
using ::testing::HasSubstr;

TEST(Exec, a_session_runs_what_it_is_asked_for_and_ends_when_it_is_killed) {
  TestLauncher launcher;
  TestSession session(launcher);
  const ExecResult first = session.sh("echo out; echo err >&2; exit 7");
  EXPECT_EQ(first.out, "out\n");
  EXPECT_EQ(first.err, "err\n");
  EXPECT_EQ(first.outcome.exit_code, 7);
  EXPECT_EQ(session.sh("echo kept > file").outcome.exit_code, 0);
  EXPECT_EQ(session.sh("cat /home/agent/file").out, "kept\n");
  EXPECT_EQ(session.kill().outcome.reason, EndReason::killed);
}

TEST(Exec, statuses_signals_and_failures_come_back_as_they_were) {
  TestLauncher launcher;
  TestSession session(launcher);
  EXPECT_EQ(session.sh("exit 255").outcome.exit_code, 255);
  const ExecResult killed = session.sh("kill -TERM $$");
  EXPECT_EQ(killed.outcome.reason, EndReason::signalled);
  EXPECT_EQ(killed.outcome.signal, SIGTERM);
  EXPECT_EQ(session.run(exec_spec({"no-such-program"})).outcome.reason, EndReason::not_found);
  EXPECT_EQ(session.run(exec_spec({"/etc/passwd"})).outcome.reason, EndReason::not_executable);
  model::ExecSpec nowhere = shell_exec("echo never");
  nowhere.cwd = "/no/such/folder";
  const ExecResult refused = session.run(nowhere);
  EXPECT_EQ(refused.outcome.reason, EndReason::setup_failed);
  EXPECT_GT(refused.failed_step, 0U);
  EXPECT_EQ(refused.out, "");
  session.kill();
}

// An exec has exactly what the run's own program has: nothing that tare-init keeps.
TEST(Exec, an_exec_is_confined_as_the_program_of_a_run_is) {
  TestLauncher launcher;
  const std::string look =
      "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|SigIgn|SigBlk)' /proc/self/status; ulimit "
      "-a;"
      " ls -l /proc/self/fd | sed 's/.* \\([0-9]*\\) -> .*/\\1/'; umask; pwd; ls /; id";
  const std::string program = launcher.run(shell_spec(look)).out;
  TestSession session(launcher);
  EXPECT_EQ(session.sh(look).out, program);
  EXPECT_THAT(program, HasSubstr("Seccomp:\t2"));
  session.kill();
}

TEST(Exec, a_hundred_megabytes_go_in_and_out_unchanged) {
  TestLauncher launcher;
  TestSession session(launcher);
  std::string input(100 << 20, '\0');
  for (std::size_t i = 0; i < input.size(); ++i)
    input[i] = static_cast<char>((i * 2654435761U) >> 13);
  const ExecResult copied = session.run(exec_spec({"/bin/cat"}), input);
  EXPECT_TRUE(copied.out == input) << copied.out.size();
  EXPECT_EQ(copied.outcome.exit_code, 0);
  session.kill();
}

TEST(Exec, sixty_four_execs_run_at_once_and_more_than_the_table_are_refused_by_name) {
  TestLauncher launcher;
  TestSession session(launcher);
  std::vector<ExecHandle> all;
  for (std::uint32_t i = 0; i < sandbox::kMostExecs; ++i)
    all.push_back(session.start(shell_exec("read x; echo $x $$"), true));
  for (const ExecHandle& exec : all) ASSERT_TRUE(session.started(exec.number));
  const ExecHandle over = session.start(shell_exec("echo never"));
  EXPECT_THAT(session.ended(over.number).outcome.message, HasSubstr("80 execs"));
  for (ExecHandle& exec : all) {
    const std::string name = std::to_string(exec.number);
    EXPECT_THAT(session.finish(std::move(exec), name + "\n").out, HasSubstr(name + " "));
  }
  EXPECT_EQ(session.sh("echo again").out, "again\n");
  session.kill();
}

TEST(Exec, an_ordinary_runs_sandbox_takes_execs_until_its_program_ends) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(
      "while [ ! -e /tmp/go ]; do sleep 0.02; done; sleep 1; exit 5");
  TestSession session(launcher, spec);
  EXPECT_EQ(session.sh("echo inside; touch /tmp/go").out, "inside\n");
  EXPECT_EQ(session.wait_end().outcome.exit_code, 5);
  const ExecHandle late = session.start(shell_exec("echo late"));
  EXPECT_THAT(session.ended(late.number).outcome.message, HasSubstr("not running"));
}

TEST(Exec, a_signal_reaches_the_execs_group_and_a_kill_its_whole_session) {
  TestLauncher launcher;
  TestSession session(launcher);
  ExecHandle polite = session.start(
      shell_exec("trap 'echo caught; exit 3' USR1; echo up; while :; do sleep 0.05; done"));
  char up[3];
  ASSERT_EQ(::read(polite.out.get(), up, 3), 3);
  session.signal(polite.number, SIGUSR1);
  const ExecResult caught = session.finish(std::move(polite));
  EXPECT_EQ(caught.out, "caught\n");
  EXPECT_EQ(caught.outcome.exit_code, 3);

  // Job control puts the children into groups of their own: still of the session.
  ExecHandle tree = session.start(
      shell_exec("set -m; sleep 1000 & sleep 1000 & trap '' TERM INT HUP; echo up; wait; wait"));
  ASSERT_EQ(::read(tree.out.get(), up, 3), 3);
  session.signal(tree.number, SIGKILL);
  const ExecResult killed = session.finish(std::move(tree));  // both pipes at their end
  EXPECT_EQ(killed.outcome.signal, SIGKILL);
  session.kill();
}

TEST(Exec, what_forks_away_from_its_exec_lives_until_the_sandbox_ends) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  TestSession session(launcher);
  session.sh(
      "setsid sh -c 'i=0; while :; do echo $((i=i+1)) > /tmp/beat; sleep 0.02; done' "
      ">/dev/null 2>&1 &");
  const std::string beats =
      "until [ -s /tmp/beat ]; do sleep 0.02; done; a=$(cat /tmp/beat); "
      "until [ \"$(cat /tmp/beat)\" != \"$a\" ]; do sleep 0.02; done; echo alive";
  EXPECT_EQ(session.sh(beats).out, "alive\n");
  session.kill();
  EXPECT_TRUE(processes_of(launcher.home()).empty());
}

// The process between fork and execve has the ids of the sandbox: whoever is inside may kill it.
TEST(Exec, a_child_that_is_killed_before_it_executes_is_an_end_that_says_so) {
  TestLauncher launcher;
  TestSession session(launcher);
  // It is not shown in /proc, but its number can be guessed.
  ExecHandle killer = session.start(
      shell_exec("echo up; while :; do p=$(($$+1)); while [ $p -lt $(($$+150)) ]; do kill -9 $p; "
                 "p=$((p+1)); done; done 2>/dev/null"));
  char up[3];
  ASSERT_EQ(::read(killer.out.get(), up, 3), 3);
  int failed = 0;
  for (int i = 0; i < 60; ++i) {
    const ExecResult result = session.finish(session.start(exec_spec({"/bin/true"})));
    if (result.outcome.reason == EndReason::setup_failed) ++failed;
    // It was killed, or it was not; never anything else, and never a hang.
    EXPECT_TRUE(result.outcome.reason == EndReason::setup_failed ||
                result.outcome.reason == EndReason::exited || result.outcome.signal == SIGKILL)
        << result.outcome.message;
  }
  ::testing::Test::RecordProperty("killed", failed);
  session.signal(killer.number, SIGKILL);
  session.finish(std::move(killer));
  EXPECT_EQ(session.sh("echo well").out, "well\n");
  session.kill();
}

TEST(Exec, tared_dies_and_the_next_one_finds_its_execs_their_output_and_their_ends) {
  TestLauncher launcher;
  TestSession session(launcher);
  ExecHandle talking = session.start(shell_exec("read x; echo got $x; read x; echo got $x"), true);
  ASSERT_TRUE(session.started(talking.number));
  ExecHandle ending = session.start(shell_exec("exit 9"));
  ASSERT_EQ(::write(talking.in.get(), "one\n", 4), 4);
  launcher.disconnect();
  talking.out.reset();
  talking.err.reset();
  talking.in.reset();
  ending.out.reset();
  launcher.connect();
  std::map<std::uint32_t, ExecHandle> kept;
  const auto live = session.list(&kept);
  ASSERT_EQ(live.size(), 2U);
  EXPECT_TRUE(live[0].started);
  EXPECT_EQ(session.ended(ending.number).outcome.exit_code, 9);
  EXPECT_EQ(session.finish(std::move(kept[talking.number]), "two\n").out, "got one\ngot two\n");
  session.release(ending.number);
  EXPECT_TRUE(session.list().empty());
  session.kill();
}

TEST(Exec, the_memory_limit_ends_the_sandbox_whichever_exec_reached_it) {
  TestLauncher launcher;
  model::SandboxSpec spec = session_spec();
  spec.limits.memory_bytes = std::uint64_t{32} << 20;
  spec.limits.disk_bytes = std::uint64_t{4} << 20;
  TestSession session(launcher, spec);
  (void)session.start(
      shell_exec("while :; do head -c 200000000 /dev/zero | tail -c 150000000 >/dev/null; done"));
  EXPECT_EQ(session.wait_end().outcome.reason, EndReason::memory_limit);
}

TEST(Exec, the_time_limit_ends_a_session) {
  TestLauncher launcher;
  model::SandboxSpec spec = session_spec();
  spec.limits.time_ms = 300;
  TestSession session(launcher, spec);
  (void)session.start(shell_exec("sleep 1000"));
  EXPECT_EQ(session.wait_end().outcome.reason, EndReason::timeout);
}

}  // namespace
}  // namespace tare::testing
