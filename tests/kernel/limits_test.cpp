// Every limit is hit for real, and the run says which one it was.
#include <gtest/gtest.h>

#include "support/launcher.h"
#include "support/patience.h"

namespace tare::testing {
namespace {

using model::EndReason;
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

TEST(Limits, one_that_cannot_be_armed_refuses_the_run) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("echo never");
  spec.limits.disk_bytes = model::LimitBounds::kDiskMax;  // no file system here takes a 4 TiB image
                                                          // with 2^26 inodes
  spec.limits.disk_inodes = model::LimitBounds::kInodesMin;
  spec.limits.memory_bytes = 8 * kMiB;
  const RunResult result = launcher.run(spec);
  if (result.ended.outcome.reason == EndReason::setup_failed) {
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.ended.outcome.message.find("scratch space"), std::string::npos)
        << result.ended.outcome.message;
  } else {
    EXPECT_EQ(result.out, "never\n");  // the host could, so it was armed
  }
}

}  // namespace
}  // namespace tare::testing
