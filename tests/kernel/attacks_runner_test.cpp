// The runner of a sandbox (/opt/tare/runner) cannot be changed, covered or taken away from inside,
// not even by root; and who executes it cannot be taken over by another program of the session.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "attacks.h"
#include "layers.h"
#include "support/session.h"
#include "sys/files.h"
#include "sys/landlock.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// Names, modes, times and contents of all that is below.
std::string fingerprint(const fs::path& root) {
  std::string out;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    struct stat status = {};
    ::lstat(entry.path().c_str(), &status);
    out += entry.path().string() + " " + std::to_string(status.st_mode) + " " +
           std::to_string(status.st_uid) + " " + std::to_string(status.st_nlink) + " " +
           std::to_string(status.st_ctim.tv_nsec) + " " + std::to_string(status.st_size) + "\n";
  }
  return out;
}

std::vector<Attack> attacks_in(const RunResult& result) {
  std::vector<Attack> attacks;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.rfind(": ");
    if (colon != std::string::npos)
      attacks.push_back({line.substr(0, colon), line.substr(colon + 2)});
  }
  EXPECT_THAT(result.out, HasSubstr("tried " + std::to_string(attacks.size()) + "\n"));
  return attacks;
}

TEST(Attack, the_runner_cannot_be_changed_covered_or_taken_away) {
  TestLauncher launcher;
  const std::string digest = make_runner(launcher);
  const fs::path root = fs::path(launcher.home()) / "store/layers" / digest.substr(7) / "root";
  const std::string before = fingerprint(root);
  for (const As as : {kAgent, kRoot, kBuilder, kStrict}) {
    model::SandboxSpec spec = host_spec({"/opt/tare/runner/attack", "runner"});
    spec.runner = digest;
    spec.uid = spec.gid = as.uid;
    spec.profile = as.profile;
    const auto attacks = attacks_in(launcher.run(spec));
    EXPECT_GT(expect_refused(attacks, as,
                             {"EXDEV", "EBADF", "ENOTEMPTY", "EBUSY", "EISDIR", "ENOTDIR",
                              "EOPNOTSUPP", "EINVAL", "ENOTTY"}),
              90U);
    EXPECT_EQ(fingerprint(root), before) << as.name;
  }
}

TEST(Attack, no_mount_of_a_sandbox_with_a_runner_gives_way) {
  TestLauncher launcher;
  const std::string digest = make_runner(launcher);
  for (const As as : {kRoot, kBuilder}) {
    model::SandboxSpec spec = host_spec({"/opt/tare/runner/attack", "mounts"});
    spec.runner = digest;
    spec.uid = spec.gid = as.uid;
    spec.profile = as.profile;
    const RunResult result = launcher.run(spec);
    EXPECT_THAT(result.out, HasSubstr("umount /opt/tare/runner: "));
    EXPECT_THAT(result.out, HasSubstr("create in /opt/tare/runner: EROFS"));
    (void)expect_refused(attacks_in(result), as, {"EXDEV", "EEXIST", "EBUSY", "ENOTDIR"});
  }
}

// The kernel has locked it: it was attached before the sandbox's user namespace was made.
TEST(Runner, is_shown_read_only_without_set_id_and_devices_and_is_no_part_of_the_upper) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(
      "grep ' /opt/tare/runner ' /proc/self/mountinfo; cat /opt/tare/runner/main.sh; "
      "stat -c %u:%g /opt/tare/runner/main.sh; touch /opt/tare/x 2>&1");
  spec.runner = make_runner(launcher);
  spec.uid = spec.gid = 0;
  const RunResult result = launcher.run(spec);
  EXPECT_THAT(result.out, HasSubstr("ro,nosuid,nodev"));
  EXPECT_THAT(result.out, HasSubstr("echo one\n0:0\n"));
}

TEST(Runner, a_sandbox_that_waits_with_another_runner_or_none_is_not_taken) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("cat /opt/tare/runner/main.sh");
  const std::string one = make_runner(launcher, 'a', "one\n");
  const std::string two = make_runner(launcher, 'b', "two\n");
  for (int i = 0; i < 6; ++i) {
    for (const auto& [digest, text] :
         {std::pair(one, "one\n"), {two, "two\n"}, {std::string(), ""}}) {
      spec.id = fresh_run_id();
      spec.runner = digest;
      EXPECT_EQ(launcher.run(spec).out, text);
    }
  }
}

TEST(Runner, one_that_is_not_there_is_an_error_and_not_an_empty_folder) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("echo ran");
  spec.runner = "sha256:" + std::string(64, 'e');
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, model::EndReason::setup_failed);
  EXPECT_EQ(result.out, "");
}

// Each exec has a domain of Landlock's of its own, and no program may look into that of another.
TEST(Attack, the_process_that_executes_the_runner_is_out_of_reach_of_other_execs) {
  if (sys::landlock_abi() < 2) GTEST_SKIP() << "this kernel has no Landlock";
  TestLauncher launcher;
  for (const As as : {kAgent, kRoot}) {
    model::SandboxSpec spec = session_spec();
    spec.runner = make_runner(launcher, as.uid == 0 ? 'b' : 'a', "sleep 1000\n");
    spec.uid = spec.gid = as.uid;
    TestSession session(launcher, spec);
    ExecHandle runner = session.start(
        shell_exec("echo $$ > /tmp/runner.pid; echo up; . /opt/tare/runner/main.sh"));
    char up[3];
    ASSERT_EQ(::read(runner.out.get(), up, 3), 3);
    const ExecResult attack = session.run(exec_spec({"/opt/tare/runner/attack", "runner_process"}));
    RunResult said;
    said.out = attack.out;
    EXPECT_GE(expect_refused(attacks_in(said), as), 11U);
    (void)session.kill();
  }
}

}  // namespace
}  // namespace tare::testing
