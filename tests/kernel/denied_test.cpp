// System calls that the filter refuses: answered by tare-init, told by name, and never in the way
// of its other work. The attackers here are python with ctypes: no tool of the host makes such
// calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "sandbox/launch/report.h"
#include "sandbox/seccomp/names.h"
#include "sandbox/seccomp/tables.h"
#include "support/launcher.h"

namespace tare::testing {
namespace {

using model::EndReason;
using sandbox::CallAbi;
using ::testing::HasSubstr;

// `call(number, ...)` gives -errno.
model::SandboxSpec caller_spec(const std::string& script) {
  return host_spec({"python3", "-c",
                    "import ctypes, os, sys, time, threading\n"
                    "libc = ctypes.CDLL(None, use_errno=True)\n"
                    "def call(*a):\n"
                    "  r = libc.syscall(*[ctypes.c_long(x) for x in a])\n"
                    "  return r if r >= 0 else -ctypes.get_errno()\n" +
                        script});
}

std::map<std::string, std::uint64_t> by_name(const RunResult& result) {
  std::map<std::string, std::uint64_t> names;
  for (const auto& [call, count] : result.denied) names[sandbox::name_of(call)] = count;
  return names;
}

using Names = std::map<std::string, std::uint64_t>;

TEST(Denied, each_call_is_told_by_its_name_and_how_often) {
  TestLauncher launcher;
  const RunResult result = launcher.run(caller_spec(
      "print(call(101, 0, 0, 0, 0), call(165, 0, 0, 0, 0, 0), call(101, 0, 0, 0, 0), call(101))"));
  EXPECT_EQ(result.out, "-1 -1 -1 -1\n");
  EXPECT_EQ(by_name(result), (Names{{"ptrace", 3}, {"mount", 1}}));
}

// A number that is newer than our tables answers ENOSYS, as on an older kernel, and is told.
TEST(Denied, a_call_that_nobody_knows_is_told_by_its_number) {
  TestLauncher launcher;
  const RunResult result = launcher.run(
      caller_spec("print(call(999, 0), call(337), call(0x3FFFFFFF), call(999))"));
  EXPECT_EQ(result.out, "-38 -38 -38 -38\n");
  EXPECT_EQ(by_name(result), (Names{{"call 337", 1}, {"call 999", 2}, {"call 1073741823", 1}}));
}

// glibc tries it before each thread and process: events of it would bury all others.
TEST(Denied, clone3_is_not_there_and_that_is_no_news) {
  TestLauncher launcher;
  const RunResult result = launcher.run(
      caller_spec("t = threading.Thread(target=lambda: None); t.start(); t.join()\n"
                  "print(call(435, 0, 0))"));
  EXPECT_EQ(result.out, "-38\n") << result.err;
  EXPECT_EQ(by_name(result), Names{});
}

TEST(Denied, an_ordinary_program_is_refused_nothing) {
  TestLauncher launcher;
  const RunResult shell = launcher.run(
      shell_spec("ls -l / | sort | head -3; id; date; sleep 0.01"));
  EXPECT_EQ(by_name(shell), Names{});
  const RunResult python = launcher.run(
      caller_spec("import subprocess, socket, tempfile, json\n"
                  "t = threading.Thread(target=lambda: time.sleep(0.01)); t.start(); t.join()\n"
                  "subprocess.run(['true']); tempfile.NamedTemporaryFile(); socket.socket()"));
  EXPECT_EQ(python.ended.outcome.exit_code, 0) << python.err;
  EXPECT_EQ(by_name(python), Names{});
}

TEST(Denied, of_many_kinds_the_first_are_named_and_the_others_counted_together) {
  TestLauncher launcher;
  std::string numbers;
  for (const auto& call : sandbox::refused_calls()) numbers += std::to_string(call.number) + ",";
  const std::size_t kinds = sandbox::refused_calls().size();
  const RunResult result = launcher.run(
      caller_spec("print({call(n, -1, -1, -1, -1, -1) for n in [" + numbers + "]})"));
  EXPECT_EQ(result.out, "{-38, -1}\n") << result.err;  // ENOSYS: asynchronous I/O
  ASSERT_EQ(result.denied.size(), std::size_t{sandbox::kMaxDeniedCalls});
  EXPECT_EQ(result.denied.at({CallAbi::other, 0}), kinds - (sandbox::kMaxDeniedCalls - 1));
}

TEST(Denied, a_signal_does_not_show_through_a_refusal) {
  TestLauncher launcher;
  // A timer at 20 kHz: the call is begun again, and the answer is EPERM each time. (Without
  // SA_RESTART it is EINTR when the signal comes before tare-init has looked.)
  const RunResult result = launcher.run(
      caller_spec("import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
                  "signal.siginterrupt(signal.SIGALRM, False)\n"
                  "signal.setitimer(signal.ITIMER_REAL, 0.00005, 0.00005)\n"
                  "print({call(101, 0, 0, 0, 0) for _ in range(3000)})"));
  EXPECT_EQ(result.out, "{-1}\n") << result.err;
}

TEST(Denied, who_spins_on_it_cannot_keep_tare_init_from_reaping) {
  TestLauncher launcher;
  // Eight processes spin; meanwhile the program has children of its own that end, and orphans that
  // tare-init must reap, and then ends itself.
  const RunResult result = launcher.run(
      caller_spec("def spin():\n  while True: call(101, 0, 0, 0, 0)\n"
                  "for _ in range(8):\n  if os.fork() == 0: spin()\n"
                  "for _ in range(200):\n"
                  "  if os.fork() == 0:\n    if os.fork() == 0: os._exit(0)\n    os._exit(0)\n"
                  "  os.wait()\n"
                  "time.sleep(0.2)\n"
                  "states = [open(f'/proc/{p}/stat').read().split()[2] for p in os.listdir('/proc')"
                  " if p.isdigit()]\n"
                  "print(states.count('Z') < 20)\n"));
  EXPECT_EQ(result.ended.outcome.reason, EndReason::exited) << result.ended.outcome.message;
  EXPECT_EQ(result.out, "True\n") << result.err;
  EXPECT_GT(by_name(result).at("ptrace"), 100U);
}

TEST(Denied, the_wall_time_limit_and_a_kill_reach_a_bomb_of_callers) {
  TestLauncher launcher;
  const std::string bomb =
      "print('up', flush=True)\n"
      "while True:\n"
      "  try: os.fork()\n  except OSError: pass\n"
      "  call(101, 0, 0, 0, 0)\n";
  model::SandboxSpec spec = caller_spec(bomb);
  spec.limits.pids = 64;
  spec.limits.time_ms = 1500;
  const RunResult timed = launcher.run(spec);
  EXPECT_EQ(timed.ended.outcome.reason, EndReason::timeout);
  EXPECT_GT(by_name(timed)["ptrace"], 0U);

  spec = caller_spec(bomb);
  spec.limits.pids = 64;
  TestLauncher::Live live = launcher.launch(spec);
  char byte = 0;
  ASSERT_EQ(::read(live.out.get(), &byte, 1), 1);
  launcher.send(sandbox::KillMessage{live.id});
  EXPECT_EQ(launcher.finish(std::move(live)).ended.outcome.reason, EndReason::killed);
}

TEST(Denied, a_program_cannot_take_the_listeners_place_or_find_it) {
  TestLauncher launcher;
  // seccomp(SET_MODE_FILTER, NEW_LISTENER, ...), and what is open: nothing but stdio.
  const RunResult result = launcher.run(
      caller_spec("print(call(317, 1, 8, 0), sorted(os.listdir('/proc/self/fd'))[:3], "
                  "os.access('/proc/1/fd', os.R_OK))"));
  EXPECT_THAT(result.out, HasSubstr("['0', '1', '2'] False"));
  EXPECT_EQ(result.out.front(), '-');
}

TEST(Denied, a_tared_that_comes_back_is_told_again) {
  TestLauncher launcher;
  model::SandboxSpec spec = caller_spec("call(101, 0, 0, 0, 0)\nsys.stdin.read()");
  spec.with_stdin = true;
  TestLauncher::Live live = launcher.launch(spec);
  while (!std::holds_alternative<sandbox::DeniedMessage>(launcher.next())) {
  }
  launcher.disconnect();
  launcher.connect();
  launcher.send(sandbox::ListMessage{});
  EXPECT_TRUE(std::holds_alternative<sandbox::LiveMessage>(launcher.next()));
  const auto told = launcher.next();
  const auto* denied = std::get_if<sandbox::DeniedMessage>(&told);
  ASSERT_NE(denied, nullptr);
  EXPECT_EQ(denied->call.number, static_cast<std::uint32_t>(SYS_ptrace));
  EXPECT_EQ(denied->count, 1U);
  live.in.reset();
  launcher.send(sandbox::CloseStdinMessage{live.id});
  EXPECT_EQ(launcher.finish(std::move(live)).ended.outcome.reason, EndReason::exited);
}

}  // namespace
}  // namespace tare::testing
