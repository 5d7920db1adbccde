// Bombs (ATTACKS.md S32): each is contained. Either the run ends with a reason that names the
// limit, or the program is told by its own call which limit it met, and the run goes on. How long a
// neighbour waits meanwhile is measured and printed by `./dev test full`, and never asserted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>

#include "attacks.h"
#include "support/leaks.h"

namespace tare::testing {
namespace {

using model::EndReason;
constexpr std::uint64_t kMiB = 1 << 20;

enum class Told : std::uint8_t { by_its_call, processes, disk, files };  // also by the run's end

struct Bomb {
  const char* name;
  const char* said;  // the errno that its own call meets; null: the run is ended for its memory
  Told told = Told::by_its_call;
};
constexpr Bomb kBombs[] = {
    {"forks", "EAGAIN", Told::processes},
    {"threads", "EAGAIN", Told::processes},
    {"tmp", "ENOSPC", Told::disk},
    {"shm", "ENOSPC", Told::disk},
    {"output", "ENOSPC", Told::disk},
    {"inodes", "ENOSPC", Told::files},
    {"memory", nullptr},
    {"files", "EMFILE"},
    {"eventfds", "EMFILE"},
    {"epolls", "ELOOP"},
    {"timers", "EAGAIN"},
    {"timerfds", "EMFILE"},
    {"signals", "EAGAIN"},
    {"mqueues", "EMFILE"},
    {"sysv_shm", nullptr},
};
// The kernel's own memory for them counts: which limit comes first depends on its version.
constexpr const char* kEither[] = {"pipes", "sockets", "sysv_sem", "sysv_msg", "watches"};

model::SandboxSpec bomb_spec(TestLauncher& launcher, const std::string& name, As as = kAgent) {
  model::SandboxSpec spec = attack_spec(launcher, {"bomb", name}, as);
  spec.limits.memory_bytes = 48 * kMiB;
  spec.limits.disk_bytes = 8 * kMiB;
  spec.limits.disk_inodes = 512;
  spec.limits.pids = 32;
  spec.limits.open_files = 256;
  return spec;
}

// Runs it until it has said what it met or is ended; then it is killed.
struct Exploded {
  EndReason reason;
  model::Usage usage;
  std::string said;
};

Exploded explode(TestLauncher& launcher, const model::SandboxSpec& spec) {
  auto live = launcher.launch(spec);
  pollfd said = {live.out.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&said, 1, 60'000), 1) << spec.argv.back();
  launcher.send(sandbox::KillMessage{live.id});
  const RunResult result = launcher.finish(std::move(live));
  return {result.ended.outcome.reason, result.ended.usage, result.out};
}

TEST(Attack, S32_every_bomb_meets_a_limit_that_has_a_name) {
  TestLauncher launcher;
  for (const Bomb& bomb : kBombs) {
    const auto [reason, usage, said] = explode(launcher, bomb_spec(launcher, bomb.name));
    EXPECT_EQ(usage.processes_refused > 0, bomb.told == Told::processes) << bomb.name;
    EXPECT_EQ(usage.disk_full, bomb.told == Told::disk) << bomb.name;
    EXPECT_EQ(usage.inodes_full, bomb.told == Told::files) << bomb.name;
    if (bomb.said == nullptr) {
      EXPECT_EQ(reason, EndReason::memory_limit) << bomb.name << " " << said;
    } else {
      EXPECT_EQ(reason, EndReason::killed) << bomb.name << " " << said;  // by us: it lived on
      EXPECT_THAT(said, ::testing::HasSubstr(bomb.said)) << bomb.name;
    }
  }
  for (const char* name : kEither) {
    const auto [reason, usage, said] = explode(launcher, bomb_spec(launcher, name));
    EXPECT_TRUE(reason == EndReason::memory_limit || said.find(", then E") != std::string::npos)
        << name << " " << said;
  }
  EXPECT_EQ(launcher.run(shell_spec("echo fine")).out, "fine\n");
}

// They take what can be taken back: nothing is refused, and nothing grows.
TEST(Attack, S32_caches_of_pages_and_names_are_bounded_by_the_memory_limit) {
  TestLauncher launcher;
  for (const char* name : {"page_cache", "dentries", "burns"}) {
    model::SandboxSpec spec = bomb_spec(launcher, name);
    spec.limits.time_ms = 1000;
    const RunResult result = launcher.run(spec);
    EXPECT_EQ(result.ended.outcome.reason, EndReason::timeout) << name;
    EXPECT_LE(result.ended.usage.memory_peak_bytes, spec.limits.memory_bytes) << name;
  }
}

TEST(Attack, S32_output_that_nobody_reads_waits_and_takes_no_memory_of_ours) {
  TestLauncher launcher;
  for (const char* name : {"stdout", "stderr", "tiny_words"}) {
    model::SandboxSpec spec = bomb_spec(launcher, name);
    spec.limits.time_ms = 300;
    auto live = launcher.launch(spec);
    for (;;) {
      const auto message = launcher.next();
      const auto* ended = std::get_if<sandbox::EndedMessage>(&message);
      if (ended == nullptr) continue;
      EXPECT_EQ(ended->outcome.reason, EndReason::timeout) << name;
      break;
    }
    EXPECT_LE(read_to_end(live.out.get()).size() + read_to_end(live.err.get()).size(), kMiB);
    launcher.send(sandbox::ReleaseMessage{live.id});
  }
}

// ---- The neighbour

std::string neighbours_time(TestLauncher& launcher, const char* bomb) {
  std::optional<TestLauncher::Live> live;
  if (bomb != nullptr) {
    model::SandboxSpec spec = bomb_spec(launcher, bomb);
    spec.limits.cpu_millis = 1000;
    spec.limits.time_ms = 600'000;
    live = launcher.launch(spec);
  }
  model::SandboxSpec steady = attack_spec(launcher, {"neighbour", "5"}, kAgent);
  std::string said;
  auto quiet = launcher.launch(steady);
  said = read_to_end(quiet.out.get());
  if (live) launcher.send(sandbox::KillMessage{live->id});
  for (int ends = bomb != nullptr ? 2 : 1; ends > 0;) {
    const auto message = launcher.next();
    const auto* ended = std::get_if<sandbox::EndedMessage>(&message);
    if (ended == nullptr) continue;
    launcher.send(sandbox::ReleaseMessage{ended->id});
    --ends;
  }
  return said;
}

TEST(Neighbour, how_long_its_steps_take_during_each_bomb) {
  if (std::getenv("TARE_NEIGHBOUR") == nullptr) GTEST_SKIP() << "./dev test full";
  TestLauncher launcher;
  const std::string alone = neighbours_time(launcher, nullptr);
  std::printf("| %-10s | %s", "(none)", alone.c_str());
  std::vector<const char*> names = {"page_cache", "dentries", "burns"};
  for (const Bomb& bomb : kBombs) names.push_back(bomb.name);
  names.insert(names.end(), std::begin(kEither), std::end(kEither));
  for (const char* name : names) {
    const std::string said = neighbours_time(launcher, name);
    EXPECT_THAT(said, ::testing::HasSubstr("p99")) << name;  // it came to its end
    std::printf("| %-10s | %s", name, said.c_str());
  }
}

}  // namespace
}  // namespace tare::testing
