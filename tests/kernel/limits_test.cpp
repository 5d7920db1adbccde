// Every limit is hit for real, and the run says which one it was.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>

#include "sandbox/cgroup/place.h"
#include "sandbox/cgroup/settings.h"
#include "support/leaks.h"
#include "support/patience.h"
#include "support/session.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;
using model::EndReason;
using ::testing::HasSubstr;
constexpr std::uint64_t kMiB = 1 << 20;

TEST(Limits, memory_beyond_the_limit_ends_the_whole_run) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("sleep 100 & tail /dev/zero");
  spec.limits.memory_bytes = 64 * kMiB;
  spec.limits.disk_bytes = 8 * kMiB;
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, EndReason::memory_limit) << result.ended.outcome.message;
  EXPECT_LE(result.ended.usage.memory_peak_bytes, 64 * kMiB);
  EXPECT_GT(result.ended.usage.memory_peak_bytes, 48 * kMiB);
}

// PID 1 is as good to the kernel as any other of the cgroup.
TEST(Limits, memory_beyond_the_limit_is_named_also_when_the_kernel_takes_pid_1) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  model::SandboxSpec spec = session_spec();
  spec.limits.memory_bytes = 64 * kMiB;
  spec.limits.disk_bytes = 8 * kMiB;
  TestSession session(launcher, spec);
  const ExecHandle exec = session.start(
      exec_spec({"python3", "-uc",
                 "import os\nprint('up'); input(); memory = os.memfd_create('m')\n"
                 "while True: os.write(memory, b'x' * 65536)"}),  // which is no process's own
      true);
  char up = 0;
  ASSERT_EQ(::read(exec.out.get(), &up, 1), 1);  // what is forked now would have the score, too
  std::ofstream("/proc/" + std::to_string(session.init()) + "/oom_score_adj") << "1000";
  ASSERT_EQ(::write(exec.in.get(), "\n", 1), 1);
  EXPECT_EQ(session.wait_end().outcome.reason, EndReason::memory_limit);
}

TEST(Limits, files_in_memory_scratch_count_towards_the_memory_limit_and_the_disk_cap_is_met_first) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(
      "head -c 64M /dev/zero > /tmp/file; echo status $?; wc -c < /tmp/file");
  spec.limits.memory_bytes = 64 * kMiB;
  spec.limits.disk_bytes = 8 * kMiB;
  const RunResult result = launcher.run(spec);
  EXPECT_NE(result.err.find("No space left on device"), std::string::npos) << result.err;
  EXPECT_EQ(result.ended.outcome.reason, EndReason::exited);
  EXPECT_LE(std::stoull(result.out.substr(result.out.find('\n'))), 8 * kMiB);
}

TEST(Limits, an_image_scratch_has_a_hard_byte_cap_and_costs_no_memory) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("head -c 300M /dev/zero > /tmp/file; wc -c < /tmp/file");
  spec.limits.memory_bytes = 32 * kMiB;
  spec.limits.disk_bytes = 128 * kMiB;
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, EndReason::exited) << result.ended.outcome.message;
  EXPECT_NE(result.err.find("No space left on device"), std::string::npos) << result.err;
  const auto written = std::stoull(result.out);
  EXPECT_LE(written, 128 * kMiB);
  EXPECT_GT(written, 100 * kMiB);
  EXPECT_TRUE(result.ended.usage.disk_full);
  EXPECT_FALSE(result.ended.usage.inodes_full);
}

TEST(Limits, inodes_are_capped_in_memory_and_in_an_image) {
  TestLauncher launcher;
  for (const std::uint64_t disk : {8 * kMiB, 128 * kMiB}) {
    model::SandboxSpec spec = shell_spec(
        "i=0; while true > /tmp/$i; do i=$((i+1)); done 2>/dev/null; echo $i");
    spec.limits.memory_bytes = 64 * kMiB;
    spec.limits.disk_bytes = disk;
    spec.limits.disk_inodes = 512;
    const RunResult result = launcher.run(spec);
    const auto made = std::stoull(result.out);
    EXPECT_LT(made, 512U) << disk;
    EXPECT_GT(made, 400U) << disk;
    EXPECT_TRUE(result.ended.usage.inodes_full) << disk;
    EXPECT_FALSE(result.ended.usage.disk_full) << disk;
  }
}

TEST(Limits, processes_are_capped_and_a_fork_bomb_is_contained) {
  TestLauncher launcher;
  model::SandboxSpec spec = host_spec(
      {"python3", "-c",
       "import os, time\nwhile True:\n  try: os.fork()\n"
       "  except OSError as e: print(e.strerror, flush=True); time.sleep(0.2)"});
  spec.limits.pids = 24;
  spec.limits.time_ms = static_cast<std::uint64_t>(patience_ms(1500));
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, EndReason::timeout);
  EXPECT_NE(result.out.find("Resource temporarily unavailable"), std::string::npos) << result.out;
}

TEST(Limits, the_whole_number_of_processes_can_be_used) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(
      "for i in 1 2 3; do sleep 30 & done; echo three; kill %1 %2 %3");
  spec.limits.pids = 4;
  EXPECT_EQ(launcher.run(spec).out, "three\n");
}

TEST(Limits, cpu_time_is_throttled) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(
      "end=$(($(date +%s) + 2)); while [ $(date +%s) -lt $end ]; do :; done");
  spec.limits.cpu_millis = 200;
  const RunResult result = launcher.run(spec);
  EXPECT_GT(result.ended.usage.cpu_throttled_us, 0U);
  EXPECT_LT(result.ended.usage.cpu_us, result.ended.usage.wall_us / 2);
}

TEST(Limits, wall_time_ends_a_run_and_all_that_it_started) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("sleep 100 & sleep 100");
  spec.limits.time_ms = 200;
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, EndReason::timeout);
  EXPECT_GE(result.ended.usage.wall_us, 200'000U);
}

TEST(Limits, open_files_are_capped) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("ulimit -n; ulimit -Hn; ulimit -c");
  spec.limits.open_files = 64;
  EXPECT_EQ(launcher.run(spec).out, "64\n64\n0\n");
}

// ---- One that cannot be armed refuses the run, which says which it was

void expect_refused(const RunResult& result, const std::string& limit) {
  EXPECT_EQ(result.ended.outcome.reason, EndReason::setup_failed) << limit;
  EXPECT_EQ(result.out, "");
  EXPECT_FALSE(result.started.has_value()) << limit;
  EXPECT_THAT(result.ended.outcome.message, HasSubstr(limit));
}

// A control file of a cgroup in which every write fails, as it does where the kernel refuses one.
// The cgroup is removed below it, and then only the mount's own descriptor leads to it.
class BrokenControl {
 public:
  BrokenControl(const std::string& cgroup, std::string_view file) {
    const std::string path = cgroup + "/" + std::string(file);
    EXPECT_EQ(::mount("/dev/full", path.c_str(), nullptr, MS_BIND, nullptr), 0) << path;
    mount_ = sys::open_at(sys::kCwd, path, O_PATH).value_or(sys::UniqueFd());
  }
  BrokenControl(BrokenControl&&) noexcept = default;
  BrokenControl& operator=(BrokenControl&&) = delete;
  ~BrokenControl() {
    if (!mount_.valid()) return;
    const std::string path = "/proc/self/fd/" + std::to_string(mount_.get());
    EXPECT_EQ(::umount2(path.c_str(), MNT_DETACH), 0) << path;
  }

 private:
  sys::UniqueFd mount_;
};

struct Control {
  std::string folder;  // of the home's cgroups in the limit's hierarchy
  sandbox::CgroupSetting setting;
};

// All that this host arms with limits like these.
std::vector<Control> controls_of(const std::string& home, const model::Limits& limits) {
  std::vector<Control> controls;
  const auto hierarchies = sandbox::usable_hierarchies(std::nullopt);
  EXPECT_TRUE(hierarchies.ok());
  for (const auto& hierarchy : *hierarchies) {
    const auto version = hierarchy.unified ? sandbox::CgroupVersion::v2
                                           : sandbox::CgroupVersion::v1;
    for (const auto& setting : sandbox::cgroup_settings(limits, version)) {
      if (hierarchy.has(setting.controller))
        controls.push_back({hierarchy.path + "/" + cgroup_tag(home), setting});
    }
  }
  return controls;
}

TEST(Limits, one_of_a_cgroup_that_cannot_be_armed_refuses_the_run) {
  std::set<std::string> limits;
  const std::size_t count = controls_of("", {}).size();
  for (std::size_t i = 0; i < count; ++i) {
    TestLauncher launcher(TestLauncher::Home::folder, 0);
    const model::SandboxSpec spec = shell_spec("echo never");
    const Control control = controls_of(launcher.home(), spec.limits)[i];
    const std::string first = control.folder + "/s0-1";  // slot 0, leased for the first time
    ASSERT_TRUE(sys::make_dir_at(sys::kCwd, first, 0755).ok());
    if (!fs::exists(first + "/" + std::string(control.setting.file))) {
      EXPECT_FALSE(control.setting.need == sandbox::Presence::always) << control.setting.file;
      ASSERT_EQ(::rmdir(first.c_str()), 0);
      continue;
    }
    const BrokenControl broken(first, control.setting.file);
    const std::string limit(control.setting.controller);
    expect_refused(launcher.run(spec), "cannot arm the limit " + limit);
    EXPECT_EQ(launcher.run(shell_spec("echo fine")).out, "fine\n");
    limits.insert(limit);
  }
  EXPECT_EQ(limits, (std::set<std::string>{"cpu", "memory", "pids"}));
}

// A sandbox that waited is given the limits of its run when it is claimed.
TEST(Limits, one_of_a_sandbox_that_waited_that_cannot_be_armed_refuses_the_run) {
  for (const std::string limit : {"memory", "pids", "cpu"}) {
    TestLauncher launcher(TestLauncher::Home::folder, 1);
    model::SandboxSpec spec = shell_spec("echo never");
    EXPECT_EQ(launcher.run(spec).out, "never\n");
    std::uint64_t idle = 0;
    for (int i = 0; i < patience_ms(2000) && idle == 0; ++i) {
      ::usleep(10'000);
      launcher.send(sandbox::AskPoolMessage{});
      idle = std::get<sandbox::PoolMessage>(launcher.next()).idle;
    }
    ASSERT_EQ(idle, 1U);
    spec = shell_spec("echo never");
    spec.limits.memory_bytes += kMiB;
    spec.limits.pids += 1;
    spec.limits.cpu_millis += 1;
    std::vector<BrokenControl> broken;
    for (const Control& control : controls_of(launcher.home(), spec.limits)) {
      if (control.setting.controller != limit || control.setting.need != sandbox::Presence::always)
        continue;
      for (const auto& cgroup : fs::directory_iterator(control.folder)) {
        if (cgroup.is_directory()) broken.emplace_back(cgroup.path(), control.setting.file);
      }
    }
    expect_refused(launcher.run(spec), "cannot arm the limit " + limit);
  }
}

// Takes all that is left of the file system of `path`.
void fill_up(const std::string& path) {
  const auto file = sys::open_at(sys::kCwd, path, O_WRONLY | O_CREAT, 0600);
  ASSERT_TRUE(file.ok());
  const std::string block(kMiB, 'x');
  std::size_t step = block.size();
  while (step >= 1) {
    const ssize_t n = ::write(file->get(), block.data(), step);
    if (n < 0) step /= 2;
  }
  ASSERT_EQ(errno, ENOSPC);
}

TEST(Limits, the_one_on_the_disk_that_cannot_be_armed_refuses_the_run) {
  TestLauncher launcher(TestLauncher::Home::below_a_mount, 0);
  model::SandboxSpec spec = shell_spec("echo in an image");
  spec.limits.memory_bytes = 64 * kMiB;
  spec.limits.disk_bytes = 128 * kMiB;
  EXPECT_EQ(launcher.run(spec).out, "in an image\n");
  const std::string filler = launcher.home() + "/filler";
  fill_up(filler);
  const std::string disk = "cannot arm the limit disk: scratch space";
  spec.id = fresh_run_id();
  expect_refused(launcher.run(spec), disk);  // the copy of what the first one was made from
  spec.id = fresh_run_id();
  spec.limits.disk_bytes += kMiB;
  expect_refused(launcher.run(spec), disk);  // mkfs
  ASSERT_EQ(::unlink(filler.c_str()), 0);
  spec.id = fresh_run_id();
  EXPECT_EQ(launcher.run(spec).out, "in an image\n");
}

TEST(Limits, the_one_on_open_files_that_cannot_be_armed_refuses_the_run) {
  TestLauncher launcher(TestLauncher::Home::folder, 0, 400);  // it cannot give more than it has
  model::SandboxSpec spec = shell_spec("ulimit -n");
  spec.limits.open_files = 400;
  EXPECT_EQ(launcher.run(spec).out, "400\n");
  spec = shell_spec("ulimit -n");
  spec.limits.open_files = 401;
  const RunResult result = launcher.run(spec);
  expect_refused(result, "Operation not permitted");
  EXPECT_EQ(failed_step_of(spec, result), "limit resource open files = 401");
}

}  // namespace
}  // namespace tare::testing
