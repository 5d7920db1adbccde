// Bombs (ATTACKS.md S32): each is contained. Either the run ends with a reason that names the
// limit, or the program is told by its own call which limit it met, and the run goes on. How long a
// neighbour waits meanwhile is measured and printed by `./dev test full`, and never asserted.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

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
    {"epolls", "EMFILE"},
    {"epoll_depth", "ELOOP"},
    {"timers", "EAGAIN"},
    {"timerfds", "EMFILE"},
    {"signals", "EAGAIN"},
    {"mqueues", "EMFILE"},
    {"inotify_instances", "EMFILE"},
    {"terminals", "ENOSPC"},
    {"requests", "ENOSYS"},
    {"huge_pages", "ENOMEM"},
    {"sysv_shm", nullptr},
};
// The kernel's own memory for them counts: which limit comes first depends on its version. Either
// the run is ended for its memory, or its own call meets one of these, and no other.
struct Either {
  const char* name;
  std::vector<std::string> said;
};
const std::vector<Either>& either() {
  static const std::vector<Either> all = {
      {"pipes", {"EMFILE", "ENFILE", "ENOMEM"}},
      {"sockets", {"EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"}},
      {"sysv_sem", {"ENOSPC", "ENOMEM"}},
      {"sysv_msg", {"ENOSPC", "ENOMEM"}},
      {"watches", {"EMFILE", "ENOSPC", "ENOMEM"}},
  };
  return all;
}

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
  for (const auto& [name, named] : either()) {
    const auto [reason, usage, said] = explode(launcher, bomb_spec(launcher, name));
    if (reason == EndReason::memory_limit) continue;
    EXPECT_EQ(reason, EndReason::killed) << name << " " << said;  // by us: it lived on
    const auto is_met = [&](const std::string& one) {
      return said.ends_with(", then " + one + "\n");
    };
    EXPECT_TRUE(std::ranges::any_of(named, is_met)) << name << " " << said;
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

// ---- What the kernel counts for a user, or for whoever made the user namespace

// Of each, the first takes all that it can get, and holds it.
constexpr const char* kCounted[] = {"inotify_instances", "mqueues", "signals", "timers", "pipes",
                                    "terminals"};

// What it says it took before it was refused, in a sandbox of its own.
long taken_by(TestLauncher& launcher, const char* bomb, std::optional<TestLauncher::Live>* held) {
  model::SandboxSpec spec = bomb_spec(launcher, bomb);
  spec.limits.memory_bytes = 256 * kMiB;
  spec.limits.open_files = 1024;
  auto live = launcher.launch(spec);
  pollfd said = {live.out.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&said, 1, 60'000), 1) << bomb;
  std::array<char, 128> text = {};
  EXPECT_GT(::read(live.out.get(), text.data(), text.size() - 1), 0) << bomb;
  const long taken = std::strtol(text.data(), nullptr, 10);
  if (held != nullptr) {
    held->emplace(std::move(live));
  } else {
    launcher.send(sandbox::KillMessage{live.id});
    (void)launcher.finish(std::move(live));
  }
  return taken;
}

TEST(Attack, S32_what_one_has_taken_another_gets_as_well_and_so_does_the_host) {
  TestLauncher launcher;
  for (const char* bomb : kCounted) {
    const long alone = taken_by(launcher, bomb, nullptr);
    std::vector<std::optional<TestLauncher::Live>> first(4);
    for (auto& one : first) EXPECT_GT(taken_by(launcher, bomb, &one), 0) << bomb;
    EXPECT_GE(taken_by(launcher, bomb, nullptr), alone * 9 / 10) << bomb;
    const sys::UniqueFd watcher(::inotify_init1(IN_CLOEXEC));
    EXPECT_TRUE(watcher.valid()) << bomb;
    const sys::UniqueFd queue(
        static_cast<int>(::mq_open("/tare-test", O_RDWR | O_CREAT | O_CLOEXEC, 0600, nullptr)));
    EXPECT_TRUE(queue.valid()) << bomb << ": " << std::strerror(errno);
    (void)::mq_unlink("/tare-test");
    const sys::UniqueFd terminal(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    EXPECT_TRUE(terminal.valid()) << bomb;
    for (auto& one : first) {
      launcher.send(sandbox::KillMessage{one->id});
      (void)launcher.finish(std::move(*one));
    }
  }
}

// ---- The neighbour

// A bomb that goes off again whenever it has ended, until it is ended itself: also one that its
// memory limit ends, and one that floods whoever reads what it says.
class Bombing {
 public:
  Bombing(TestLauncher& launcher, const char* bomb) : launcher_(launcher), bomb_(bomb) { go_off(); }

  // It ends with the run of that id; whether the bomb was alive or was made then.
  int until_ended(const std::string& id) {
    bool quiet_ended = false;
    while (!quiet_ended || live_) {
      const auto message = launcher_.next();
      const auto* ended = std::get_if<sandbox::EndedMessage>(&message);
      if (ended == nullptr) continue;
      const std::string which = ended->id;
      launcher_.send(sandbox::ReleaseMessage{which});
      if (which == id) {
        quiet_ended = true;
        if (live_) launcher_.send(sandbox::KillMessage{live_->id});
        continue;
      }
      stop_reading();
      live_.reset();
      if (!quiet_ended) go_off();
    }
    return times_;
  }

 private:
  void go_off() {
    if (bomb_ == nullptr) return;
    model::SandboxSpec spec = bomb_spec(launcher_, bomb_);
    spec.limits.cpu_millis = 1000;
    spec.limits.time_ms = 600'000;
    live_.emplace(launcher_.launch(spec));
    readers_.emplace_back([fd = live_->out.get()] { (void)skip_to_end(fd); });
    readers_.emplace_back([fd = live_->err.get()] { (void)skip_to_end(fd); });
    ++times_;
  }
  void stop_reading() {
    for (std::thread& reader : readers_) reader.join();
    readers_.clear();
  }
  static bool skip_to_end(int fd) {
    std::array<char, 65536> ignored;
    while (::read(fd, ignored.data(), ignored.size()) > 0) {
    }
    return true;
  }

  TestLauncher& launcher_;
  const char* bomb_;
  std::optional<TestLauncher::Live> live_;
  std::vector<std::thread> readers_;
  int times_ = 0;
};

std::string neighbours_time(TestLauncher& launcher, const char* bomb) {
  Bombing bombing(launcher, bomb);
  auto quiet = launcher.launch(attack_spec(launcher, {"neighbour", "5"}, kAgent));
  std::string said;
  std::thread reader([&] { said = read_to_end(quiet.out.get()); });
  const int times = bombing.until_ended(quiet.id);
  reader.join();
  EXPECT_EQ(times > 0, bomb != nullptr);
  if (!said.empty()) said.pop_back();
  return said + " times " + std::to_string(times) + "\n";
}

TEST(Neighbour, how_long_its_steps_take_during_each_bomb) {
  if (std::getenv("TARE_NEIGHBOUR") == nullptr) GTEST_SKIP() << "./dev test full";
  TestLauncher launcher;
  const std::string alone = neighbours_time(launcher, nullptr);
  std::printf("| %-10s | %s", "(none)", alone.c_str());
  std::vector<const char*> names = {"page_cache", "dentries",   "burns", "stdout",
                                    "stderr",     "tiny_words", "syncs"};
  for (const Bomb& bomb : kBombs) names.push_back(bomb.name);
  for (const Either& bomb : either()) names.push_back(bomb.name);
  for (const char* name : names) {
    const std::string said = neighbours_time(launcher, name);
    EXPECT_THAT(said, ::testing::HasSubstr("p99")) << name;  // it came to its end
    std::printf("| %-10s | %s", name, said.c_str());
  }
}

}  // namespace
}  // namespace tare::testing
