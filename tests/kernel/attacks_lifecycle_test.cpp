// What outlives a run: nothing (ATTACKS.md S33). S35 is in attacks_tenants_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "attacks.h"
#include "support/leaks.h"
#include "support/stepper.h"

namespace tare::testing {
namespace {

using model::EndReason;

// Three that make processes for as long as they live. The program itself outlives a fork that the
// limit of processes refuses: else it would end by itself on a machine that reaches it in time.
const char* const kForkers[] = {
    // Daemons: forked twice, of sessions of their own, deaf to what asks them to end.
    "for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(s, signal.SIG_IGN)\n"
    "while True:\n"
    "  try:\n"
    "    pid = os.fork()\n"
    "    if pid: os.waitpid(pid, 0)\n"
    "    else:\n"
    "      os.setsid()\n"
    "      if os.fork() == 0: time.sleep(100)\n"
    "      os._exit(0)\n"
    "  except OSError:\n"
    "    if os.getpid() != main: os._exit(0)\n",
    // Generations: each process makes others, and the older ones give way to the younger.
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    "while True:\n"
    "  try:\n"
    "    if os.fork() and os.getpid() != main and random.random() < 0.5: os._exit(0)\n"
    "  except OSError: time.sleep(0.001)\n",
    // All signals blocked, each in a session of its own.
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
    "while True:\n"
    "  try:\n"
    "    if os.fork() == 0: os.setsid()\n"
    "  except OSError: pass\n",
};

TEST(Attack, S33_what_forks_away_while_it_is_killed_is_killed) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);  // nobody else's processes
  for (const char* forker : kForkers) {
    for (const bool as_root : {false, true}) {
      model::SandboxSpec spec = shell_spec({});
      spec.argv = {"/usr/bin/python3", "-c",
                   std::string("import os, random, signal, sys, time\n"
                               "main = os.getpid()\nos.write(1, b'up\\n')\n") +
                       forker};
      if (as_root) spec.uid = spec.gid = 0;
      spec.limits.pids = 64;
      auto live = launcher.launch(spec);
      char up[3];
      ASSERT_EQ(::read(live.out.get(), up, 3), 3);
      ::usleep(50'000);
      launcher.send(sandbox::KillMessage{live.id});
      EXPECT_EQ(launcher.finish(std::move(live)).ended.outcome.reason, EndReason::killed);
      for (const int pid : processes_of(launcher.home())) EXPECT_TRUE(is_init(pid)) << pid;
    }
  }
}

// A kill of a run that has ended, whose processes' numbers somebody else may have by now.
TEST(Attack, S33_a_late_kill_reaches_nobody_else) {
  TestLauncher launcher;
  const RunResult first = launcher.run(shell_spec("exit 3"));
  auto live = launcher.launch(shell_spec("sleep 0.2; exit 4"));
  for (int i = 0; i < 20; ++i) launcher.send(sandbox::KillMessage{first.ended.id});
  EXPECT_EQ(launcher.finish(std::move(live)).ended.outcome.exit_code, 4);
}

}  // namespace
}  // namespace tare::testing
