#include "claim_rows.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "sys/fd.h"

namespace tare::bench {

namespace {

using testing::TestLauncher;
using Home = TestLauncher::Home;

constexpr int kPool = 32;
constexpr int kClaimsInARow = 8;  // few enough for what is left of the pool
constexpr int kTakenAtOnce = 26;  // with less than half there, makers do not wait
constexpr std::uint64_t kMadeBefore = 4;
constexpr useconds_t kPauseUs = 1'000;  // shorter than what the pool takes for a quiet moment

sandbox::PoolMessage pool_of(TestLauncher& launcher) {
  launcher.send(sandbox::AskPoolMessage{});
  for (;;) {
    const auto message = launcher.next();
    if (const auto* pool = std::get_if<sandbox::PoolMessage>(&message)) return *pool;
  }
}

// One launch; its time counts when a sandbox was waiting for it. Else `missed`, and the pool is let
// grow.
void claim(TestLauncher& launcher, const std::string& clock, Samples& into) {
  const std::uint64_t sent = RealClock().monotonic_us();
  const auto result = launcher.run(testing::host_spec({clock}));
  std::uint64_t at_ns = 0;
  if (result.out.size() == sizeof at_ns) std::memcpy(&at_ns, result.out.data(), sizeof at_ns);
  const std::uint64_t at = at_ns / 1000;
  if (result.ended.outcome.reason != model::EndReason::exited || at < sent) {
    ++into.failed;
  } else if (!result.started || !result.started->warm) {
    ++*into.missed;
    ::usleep(200'000);
  } else {
    into.us.push_back(static_cast<double>(at - sent));
  }
}

// The same program, from a plain fork to its first instruction: what the kernel alone takes.
double fork_and_execve_us(const std::string& program) {
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return -1;
  const sys::UniqueFd read(ends[0]);
  sys::UniqueFd write(ends[1]);
  std::string name = program;
  const std::array<char*, 2> argv = {name.data(), nullptr};
  const std::uint64_t begin = RealClock().monotonic_us();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(write.get(), STDOUT_FILENO);
    ::execv(name.c_str(), argv.data());
    ::_exit(127);
  }
  write.reset();
  std::uint64_t at_ns = 0;
  const bool told = ::read(read.get(), &at_ns, sizeof at_ns) == sizeof at_ns;
  int status = -1;
  const bool ended = child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
  if (!told || !ended || at_ns / 1000 < begin) return -1;
  return static_cast<double>(at_ns / 1000 - begin);
}

void add_floor(Peer& floor, const std::string& program) {
  const double us = fork_and_execve_us(program);
  if (us < 0) {
    ++floor.samples.failed;
  } else {
    floor.samples.us.push_back(us);
  }
}

// `paced`: after a pause, when processors sleep; else one after the other.
void claim_row(const Options& options, const std::string& name, bool paced) {
  TestLauncher launcher(Home::folder, kPool);
  const VisibleClock clock;
  Samples own;
  Peer floor{"fork, execve", {}};
  own.missed = 0;
  (void)launcher.burst(testing::host_spec({clock.path()}), kPool);  // it grows by what it missed
  for (int tries = 0; tries < 4 * options.n && static_cast<int>(own.us.size()) < options.n;
       ++tries) {
    if (paced) let_pool_fill();
    claim(launcher, clock.path(), own);
    if (paced) let_pool_fill();
    add_floor(floor, clock.path());
  }
  print_row(options, name, own, &floor);
}

// Whether all that is wanted is there, which is made as soon as nothing was launched for some ms.
bool fill(TestLauncher& launcher) {
  for (int tries = 0; tries < 200; ++tries) {
    ::usleep(50'000);
    const auto pool = pool_of(launcher);
    if (pool.idle > 0 && pool.making == 0) return true;
  }
  return false;
}

// Until makers are at work for it. What was launched to empty the pool has been taken down by then:
// that comes before what is made.
void wait_for_refill(TestLauncher& launcher) {
  const std::uint64_t made = pool_of(launcher).made;
  for (int tries = 0; tries < 200; ++tries) {
    const auto pool = pool_of(launcher);
    if (pool.made >= made + kMadeBefore && pool.making > 0) return;
    ::usleep(500);
  }
}

}  // namespace

std::uint64_t misses_of(TestLauncher& launcher) { return pool_of(launcher).misses; }

std::uint64_t misses_of(Daemon& daemon) {
  const auto health = parse_json(daemon.ask("GET", "/v1/health", ""));
  if (!health) return 0;
  return static_cast<std::uint64_t>(
      health->as_object().at("pool").as_object().at("misses").as_int64());
}

void let_pool_fill() { ::usleep(30'000); }

void claim_launcher_rows(const Options& options) {
  claim_row(options, "claim_launcher", false);
  claim_row(options, "claim_paced", true);
}

// In turn, some claims of a full pool and some of one that is being refilled, with the same pause
// before each. Which of the two a claim is, is asked right before it.
void claim_refill_rows(const Options& options) {
  TestLauncher launcher(Home::folder, kPool);
  const VisibleClock clock;
  const auto spec = testing::host_spec({clock.path()});
  Samples own;
  Peer full{"pool is full", {}};
  own.missed = full.samples.missed = 0;
  (void)launcher.burst(spec, kPool);
  const auto wanted = static_cast<std::size_t>(options.n);
  for (int round = 0; round < options.n && own.us.size() < wanted; ++round) {
    for (const bool refilling : {false, true}) {
      if (!fill(launcher)) ++own.failed;
      if (refilling) {
        (void)launcher.burst(spec, kTakenAtOnce);
        wait_for_refill(launcher);
      }
      for (int i = 0; i < kClaimsInARow; ++i) {
        ::usleep(kPauseUs);
        const bool making = pool_of(launcher).making > 0;
        claim(launcher, clock.path(), making ? own : full.samples);
      }
    }
  }
  print_row(options, "claim_full", full.samples);
  print_row(options, "claim_refill", own, &full);
}

void claim_api_row(const Options& options) {
  Daemon daemon;
  const VisibleClock clock;
  Samples own;
  Peer floor{"fork, execve", {}};
  for (int i = 0; i < 3; ++i) (void)daemon.run_clock_us(clock.path());
  const std::uint64_t misses = misses_of(daemon);
  for (int i = 0; i < options.n; ++i) {
    let_pool_fill();
    const std::uint64_t sent = RealClock().monotonic_us();
    const std::uint64_t at = daemon.run_clock_us(clock.path());
    if (at < sent) {
      ++own.failed;
    } else {
      own.us.push_back(static_cast<double>(at - sent));
    }
    let_pool_fill();
    add_floor(floor, clock.path());
  }
  own.missed = misses_of(daemon) - misses;
  print_row(options, "claim_api", own, &floor);
}

// One every 10 ms, whether those before have ended or not.
void staggered_row(const Options& options) {
  constexpr useconds_t kEveryUs = 10'000;
  TestLauncher launcher(Home::folder, kPool);
  const VisibleClock clock;
  (void)launcher.burst(testing::host_spec({clock.path()}), kPool);
  if (!fill(launcher)) std::fprintf(stderr, "staggered: the pool is not full\n");
  const std::uint64_t misses = misses_of(launcher);
  Samples own;
  std::vector<TestLauncher::Live> live;
  std::vector<std::uint64_t> sent;
  std::thread reader([&] {
    for (int ended = 0; ended < options.n;) {
      const auto message = launcher.next();
      const auto* end = std::get_if<sandbox::EndedMessage>(&message);
      if (end == nullptr) continue;
      launcher.send(sandbox::ReleaseMessage{end->id});
      ++ended;
    }
  });
  for (int i = 0; i < options.n; ++i) {
    model::SandboxSpec spec = testing::host_spec({clock.path()});
    spec.id = testing::fresh_run_id();
    sent.push_back(RealClock().monotonic_us());
    live.push_back(launcher.launch(spec));
    ::usleep(kEveryUs);
  }
  reader.join();
  for (std::size_t i = 0; i < live.size(); ++i) {
    std::uint64_t at_ns = 0;
    const bool told = ::read(live[i].out.get(), &at_ns, sizeof at_ns) == sizeof at_ns;
    if (told && at_ns / 1000 >= sent[i]) {
      own.us.push_back(static_cast<double>(at_ns / 1000 - sent[i]));
    } else {
      ++own.failed;
    }
  }
  own.missed = misses_of(launcher) - misses;
  print_row(options, "staggered", own);
}

}  // namespace tare::bench
