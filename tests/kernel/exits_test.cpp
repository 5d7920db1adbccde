// How runs end, and what is left of them: nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "support/launcher.h"
#include "support/leaks.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

using model::EndReason;

struct Case {
  const char* script;
  EndReason reason;
  int exit_code;
  int signal;
};

TEST(Exits, statuses_and_signals_come_back_as_they_were) {
  TestLauncher launcher;
  for (const Case& c : std::initializer_list<Case>{
           {"exit 0", EndReason::exited, 0, 0},
           {"exit 3", EndReason::exited, 3, 0},
           {"exit 255", EndReason::exited, 255, 0},
           {"kill -TERM $$", EndReason::signalled, 0, SIGTERM},
           {"kill -SEGV $$", EndReason::signalled, 0, SIGSEGV},
           {"kill -KILL $$", EndReason::signalled, 0, SIGKILL},
       }) {
    const RunResult result = launcher.run(shell_spec(c.script));
    EXPECT_EQ(result.ended.outcome.reason, c.reason) << c.script;
    EXPECT_EQ(result.ended.outcome.exit_code, c.exit_code) << c.script;
    EXPECT_EQ(result.ended.outcome.signal, c.signal) << c.script;
  }
}

TEST(Exits, a_program_that_cannot_be_executed_is_told_from_one_that_is_not_there) {
  TestLauncher launcher;
  EXPECT_EQ(launcher.run(host_spec({"no-such-program"})).ended.outcome.reason,
            EndReason::not_found);
  EXPECT_EQ(launcher.run(host_spec({"/no/such/program"})).ended.outcome.reason,
            EndReason::not_found);
  EXPECT_EQ(launcher.run(host_spec({"/etc/passwd"})).ended.outcome.reason,
            EndReason::not_executable);
  EXPECT_EQ(launcher.run(host_spec({"/usr"})).ended.outcome.reason, EndReason::not_executable);
  const RunResult script = launcher.run(shell_spec(
      "printf '#!/no/such/interpreter\\n' > /tmp/script; chmod +x /tmp/script; exec /tmp/script"));
  EXPECT_EQ(script.ended.outcome.exit_code, 127);  // the shell's own word for it
}

TEST(Exits, a_bad_interpreter_is_not_executable) {
  TestLauncher launcher;
  model::SandboxSpec spec = host_spec({"/input/script"});
  const std::string run = launcher.home() + "/runs/" + spec.id;
  const std::string folder = run + "/input";
  ASSERT_EQ(::mkdir(run.c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  const int script = ::open((folder + "/script").c_str(), O_WRONLY | O_CREAT, 0755);
  ASSERT_EQ(::write(script, "#!/no/such/interpreter\n", 23), 23);
  ::close(script);
  spec.with_input = true;
  const RunResult result = launcher.finish(launcher.launch(spec));
  EXPECT_EQ(result.ended.outcome.reason, EndReason::not_executable);
  EXPECT_NE(result.ended.outcome.message.find("interpreter"), std::string::npos);
}

TEST(Exits, a_step_that_fails_is_reported_by_its_number_and_errno) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("echo never");
  spec.cwd = "/no/such/folder";
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, EndReason::setup_failed);
  EXPECT_GT(result.ended.failed_step, 1U);
  EXPECT_NE(result.ended.outcome.message.find("No such file or directory"), std::string::npos);
  EXPECT_EQ(result.out, "");
}

// tare-launcher ignores SIGPIPE; what is ignored is inherited through execve unless it is reset.
TEST(Exits, a_program_finds_every_signal_as_it_is_by_default) {
  TestLauncher launcher;
  const RunResult result = launcher.run(
      shell_spec("grep SigIgn /proc/self/status; yes | head -n 1"));
  EXPECT_EQ(result.out, "SigIgn:\t0000000000000000\ny\n");
  EXPECT_EQ(result.err, "");
}

TEST(Exits, a_double_fork_does_not_outlive_its_run) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);  // nobody else's processes
  const RunResult result = launcher.run(
      shell_spec("(setsid sh -c 'sleep 1000' >/dev/null 2>&1 &) ; echo parent"));
  EXPECT_EQ(result.out, "parent\n");
  EXPECT_EQ(result.ended.outcome.reason, EndReason::exited);
  // At the very end only tare-init may be there, on its way out.
  for (const int pid : processes_of(launcher.home())) {
    auto name = sys::read_file_at(sys::kCwd, "/proc/" + std::to_string(pid) + "/comm");
    EXPECT_EQ(std::move(name).value_or("tare-init\n"), "tare-init\n");
  }
}

TEST(Exits, kill_takes_the_whole_tree) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);  // nobody else's processes
  auto live = launcher.launch(
      shell_spec("for i in 1 2 3 4 5; do (setsid sleep 1000 &) ; done; echo up; sleep 1000"));
  ASSERT_TRUE(std::holds_alternative<sandbox::StartedMessage>(launcher.next()));
  char up[3];
  ASSERT_EQ(::read(live.out.get(), up, 3), 3);
  EXPECT_GE(processes_of(launcher.home()).size(), 6U);
  launcher.send(sandbox::KillMessage{live.id});
  const RunResult result = launcher.finish(std::move(live));
  EXPECT_EQ(result.ended.outcome.reason, EndReason::killed);
  EXPECT_EQ(result.ended.outcome.signal, SIGKILL);
  EXPECT_TRUE(processes_of(launcher.home()).empty());
}

TEST(Exits, usage_says_what_was_used) {
  TestLauncher launcher;
  const RunResult result = launcher.run(
      shell_spec("head -c 5000000 /dev/zero > /tmp/a; cat /tmp/a > /dev/null; exit 0"));
  const model::Usage& usage = result.ended.usage;
  EXPECT_GE(usage.written_bytes, 5'000'000U);
  EXPECT_GE(usage.read_bytes, 10'000'000U);
  EXPECT_LT(usage.read_bytes, 20'000'000U);
  EXPECT_GT(usage.cpu_us, 0U);
  EXPECT_GT(usage.memory_peak_bytes, 5'000'000U);  // the file is in memory
  EXPECT_GT(usage.start_us, 0U);
  EXPECT_GT(usage.wall_us, 0U);
}

TEST(Exits, two_hundred_runs_in_parallel_all_come_back) {
  TestLauncher launcher;
  constexpr int kRuns = 200;
  std::map<std::string, std::pair<int, TestLauncher::Live>> lives;
  for (int i = 0; i < kRuns; ++i) {
    model::SandboxSpec spec = shell_spec("sleep 0.5; echo " + std::to_string(i) + "; exit " +
                                         std::to_string(i % 200));
    auto live = launcher.launch(spec);
    lives.emplace(spec.id, std::pair(i, std::move(live)));
  }
  int ended = 0;
  while (ended < kRuns) {
    auto message = launcher.next(nullptr, 60'000);
    const auto* end = std::get_if<sandbox::EndedMessage>(&message);
    if (end == nullptr) continue;
    ++ended;
    const auto& [number, live] = lives.at(end->id);
    EXPECT_EQ(read_to_end(live.out.get()), std::to_string(number) + "\n");
    EXPECT_EQ(end->outcome.exit_code, number % 200) << end->outcome.message;
    launcher.send(sandbox::ReleaseMessage{end->id});
  }
}

TEST(Exits, a_gigabyte_of_output_comes_through_whole) {
  TestLauncher launcher;
  const RunResult result = launcher.run(shell_spec("head -c 1G /dev/zero"));
  EXPECT_EQ(result.out.size(), std::size_t{1} << 30);
  EXPECT_EQ(result.ended.outcome.exit_code, 0);
}

TEST(Exits, binary_output_and_input_are_exact) {
  TestLauncher launcher;
  std::string bytes;
  for (int i = 0; i < 256 * 64; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 256));
  EXPECT_EQ(launcher.run(shell_spec("cat"), bytes).out, bytes);
}

}  // namespace
}  // namespace tare::testing
