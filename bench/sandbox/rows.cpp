#include "rows.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>

#include "claim_rows.h"
#include "daemon.h"
#include "exec_rows.h"
#include "peers.h"
#include "runner_rows.h"
#include "support/launcher.h"
#include "sys/files.h"

namespace tare::bench {

namespace {

using testing::TestLauncher;
using Home = TestLauncher::Home;

constexpr int kNoPool = 0, kPool = 32;

bool succeeded(const testing::RunResult& result) {
  return result.ended.outcome.reason == model::EndReason::exited &&
         result.ended.outcome.exit_code == 0;
}

bool run_true(TestLauncher& launcher, const std::string& program, Samples* start = nullptr) {
  const auto result = launcher.run(testing::host_spec({program}));
  if (start != nullptr && result.started)
    start->us.push_back(static_cast<double>(result.started->start_us));
  return succeeded(result);
}

void fresh_rows(const Options& options) {
  TestLauncher launcher(Home::folder, kNoPool);
  const VisibleClock clock;
  const Peers peers;
  Samples own, start;
  Peer bubblewrap{"bubblewrap", {}}, runc{"runc", {}}, nspawn{"systemd-nspawn", {}};
  Peer floor{"kernel floor", {}}, no_network{"floor, no netns", {}};
  for (int i = 0; i < options.n; ++i) {
    own.measure([&] { return run_true(launcher, clock.path(), &start); });
    if (options.alone) continue;
    floor.samples.measure([&] { return peers.floor(true); });
    no_network.samples.measure([&] { return peers.floor(false); });
    if (peers.has_bubblewrap()) bubblewrap.samples.measure([&] { return peers.bubblewrap(); });
    if (peers.has_runc() && i % 4 == 0) runc.samples.measure([&] { return peers.runc(i + 1); });
    if (peers.has_nspawn() && i % 4 == 0)
      nspawn.samples.measure([&] { return peers.nspawn(i + 1); });
  }
  if (options.alone) return print_row(options, "fresh", own);
  print_row(options, "fresh", own, &floor);
  print_row(options, "fresh", own, &no_network);
  if (peers.has_bubblewrap()) print_row(options, "fresh", own, &bubblewrap);
  if (peers.has_runc()) print_row(options, "fresh", own, &runc);
  if (peers.has_nspawn()) print_row(options, "fresh", own, &nspawn);
  print_row(options, "start", start);
}

void warm_row(const Options& options) {
  TestLauncher launcher(Home::folder, kPool);
  const VisibleClock clock;
  const Peers peers;
  Samples own;
  Peer bubblewrap{"bubblewrap", {}};
  for (int i = 0; i < 3; ++i) (void)run_true(launcher, clock.path());
  const std::uint64_t misses = misses_of(launcher);
  for (int i = 0; i < options.n; ++i) {
    let_pool_fill();
    own.measure([&] { return run_true(launcher, clock.path()); });
    if (peers.has_bubblewrap()) bubblewrap.samples.measure([&] { return peers.bubblewrap(); });
  }
  own.missed = misses_of(launcher) - misses;
  print_row(options, "warm", own, peers.has_bubblewrap() ? &bubblewrap : nullptr);
}

void cold_row(const Options& options) {
  const VisibleClock clock;
  Samples own;
  for (int i = 0; i < std::max(5, options.n / 20); ++i) {
    TestLauncher launcher(Home::folder, kPool);
    own.measure([&] { return run_true(launcher, clock.path()); });
  }
  print_row(options, "cold", own);
}

void burst_row(const Options& options) {
  constexpr int kBurst = 100;
  const VisibleClock clock;
  Samples own;
  TestLauncher launcher(Home::folder, kPool);
  const std::uint64_t misses = misses_of(launcher);
  for (int round = 0; round < std::max(2, options.n / kBurst); ++round) {
    for (const double us : launcher.burst(testing::host_spec({clock.path()}), kBurst)) {
      if (us < 0) ++own.failed;
      own.us.push_back(us);
    }
    ::usleep(300'000);
  }
  own.missed = misses_of(launcher) - misses;
  print_row(options, "burst100", own);
}

// Both launchers are made among as many mounts as they find: 500 more, in a namespace of the
// bench's own, and what there was before.
void mounts_row(const Options& options) {
  constexpr int kMounts = 500;
  const VisibleClock clock;
  Samples own;
  Peer few{"500 mounts less", {}};
  auto left = std::make_unique<TestLauncher>(Home::folder, kNoPool);
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0)
    throw std::runtime_error("no mount namespace for the row `mounts500`");
  std::string folder = "/tmp/tare-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no folder in /tmp");
  int mounted = 0;
  while (mounted < kMounts && ::mount("none", folder.c_str(), "tmpfs", 0, "size=4k") == 0)
    ++mounted;
  {
    TestLauncher among(Home::folder, kNoPool);
    for (int i = 0; i < options.n; ++i) {
      own.measure([&] { return run_true(among, clock.path()); });
      few.samples.measure([&] { return run_true(*left, clock.path()); });
    }
  }
  while (mounted-- > 0) (void)::umount2(folder.c_str(), MNT_DETACH);
  (void)::rmdir(folder.c_str());
  left.reset();
  print_row(options, "mounts500", own, &few);
}

// The bench is to the launcher what tared is: grown by 1 GiB of small pages, half of the time.
void grown_row(const Options& options) {
  constexpr std::size_t kSize = std::size_t{1} << 30;
  constexpr int kBatch = 10;
  const VisibleClock clock;
  Samples own;
  Peer small{"1 GiB less", {}};
  Peer forked{"its own fork", {}};
  TestLauncher launcher(Home::folder, kNoPool);
  for (int done = 0; done < options.n; done += kBatch) {
    const int batch = std::min(kBatch, options.n - done);
    for (int i = 0; i < batch; ++i)
      small.samples.measure([&] { return run_true(launcher, clock.path()); });
    void* grown = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0);
    if (grown == MAP_FAILED || ::madvise(grown, kSize, MADV_NOHUGEPAGE) != 0 ||
        ::madvise(grown, kSize, MADV_POPULATE_WRITE) != 0)
      throw std::runtime_error("no memory for the row `grown1g`: it takes 1 GiB");
    for (int i = 0; i < batch; ++i) {
      own.measure([&] { return run_true(launcher, clock.path()); });
      forked.samples.measure([] {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(0);
        int status = -1;
        return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
      });
    }
    (void)::munmap(grown, kSize);
  }
  print_row(options, "grown1g", own, &small);
  print_row(options, "grown1g", own, &forked);
}

void churn_row(const Options& options) {
  const VisibleClock clock;
  TestLauncher launcher(Home::folder, kNoPool);
  const double seconds = options.full ? 60 : 5;
  const auto begin = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  int done = 0, failed = 0;
  while (passed() < seconds) {
    for (const double us : launcher.burst(testing::host_spec({clock.path()}), 8)) {
      ++done;
      if (us < 0) ++failed;
    }
  }
  print_value(options, "churn", done / passed(), "sandboxes/s", done, failed);
}

std::uint64_t memory_used() {
  const std::string text = sys::read_file_at(sys::kCwd, "/proc/meminfo", 65536).value();
  std::map<std::string, std::uint64_t> kib;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    const std::size_t colon = line.find(':');
    kib[line.substr(0, colon)] = std::strtoull(line.c_str() + colon + 1, nullptr, 10);
    at = end + 1;
  }
  // What the page cache holds is not the sandboxes', but for what lies in shared memory.
  return (kib["MemTotal"] - kib["MemFree"] - kib["Buffers"] - kib["Cached"] + kib["Shmem"]) * 1024;
}

void idle_row(const Options& options) {
  const int count = options.full ? 2000 : 200;
  const VisibleClock clock;
  TestLauncher launcher(Home::folder, kNoPool);
  for (int i = 0; i < 20; ++i) (void)run_true(launcher, clock.path());
  ::usleep(500'000);
  const std::uint64_t before = memory_used();
  const int idle = launcher.fill(testing::host_spec({clock.path(), "wait"}), count);
  ::usleep(500'000);
  const double kib = static_cast<double>(memory_used() - before) / 1024 / std::max(1, idle);
  print_value(options, "idle_memory", kib, "KiB per sandbox", idle, count - idle);
}

void kill_row(const Options& options) {
  TestLauncher launcher;
  Samples own;
  for (int i = 0; i < std::max(10, options.n / 2); ++i) {
    auto live = launcher.launch(
        testing::shell_spec("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do sleep "
                            "100 & done; echo up; wait"));
    std::array<char, 3> up;
    if (::read(live.out.get(), up.data(), up.size()) != 3) continue;
    ::usleep(20'000);
    own.measure([&] {
      launcher.send(sandbox::KillMessage{live.id});
      return launcher.finish(std::move(live)).ended.outcome.reason == model::EndReason::killed;
    });
  }
  print_row(options, "kill_reap", own);
}

void cli_row(const Options& options) {
  Daemon daemon;
  const Peers peers;
  Samples own;
  Peer bubblewrap{"bubblewrap", {}};
  const std::uint64_t misses = misses_of(daemon);
  for (int i = 0; i < options.n; ++i) {
    let_pool_fill();
    own.measure([&] {
      return run_program(
          {daemon.tare(), "--home", daemon.home(), "run", "--env", "host", "--", "/bin/true"});
    });
    if (!peers.has_bubblewrap()) continue;
    let_pool_fill();  // for the peer, too, processors have gone to sleep, and nobody else works
    bubblewrap.samples.measure([] {
      return run_program({"bwrap",     "--unshare-all", "--ro-bind", "/usr",      "/usr",
                          "--symlink", "usr/bin",       "/bin",      "--symlink", "usr/lib",
                          "/lib",      "--symlink",     "usr/lib64", "/lib64",    "--tmpfs",
                          "/tmp",      "--proc",        "/proc",     "--dev",     "/dev",
                          "/bin/true"});
    });
  }
  own.missed = misses_of(daemon) - misses;
  print_row(options, "cli", own, peers.has_bubblewrap() ? &bubblewrap : nullptr);
}

struct Row {
  const char* name;
  void (*measure)(const Options&);
};
constexpr std::array<Row, 16> kRows = {{{"claim_launcher", &claim_launcher_rows},
                                        {"claim_refill", &claim_refill_rows},
                                        {"claim_api", &claim_api_row},
                                        {"fresh", &fresh_rows},
                                        {"warm", &warm_row},
                                        {"cold", &cold_row},
                                        {"burst100", &burst_row},
                                        {"staggered", &staggered_row},
                                        {"mounts500", &mounts_row},
                                        {"grown1g", &grown_row},
                                        {"churn", &churn_row},
                                        {"idle_memory", &idle_row},
                                        {"kill_reap", &kill_row},
                                        {"exec", &exec_rows},
                                        {"runner_change", &runner_rows},
                                        {"cli", &cli_row}}};

}  // namespace

int run_rows(const Options& options) {
  bool found = false;
  for (const Row& row : kRows) {
    if (!options.only.empty() && options.only != row.name) continue;
    found = true;
    row.measure(options);
  }
  if (!found) {
    std::fprintf(stderr, "bench sandbox: no row '%s'\n", options.only.c_str());
    return 64;
  }
  return is_a_peer_missing() ? 1 : 0;
}

}  // namespace tare::bench
