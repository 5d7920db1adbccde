#include "kill_matrix.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "sys/files.h"

namespace tare::testing {

namespace {

constexpr int kTries = 3;     // of each sweep
constexpr int kRunEvery = 8;  // a whole run is tried after every so many deeds
constexpr int kPatienceMs = 10'000;
// The kernel takes network namespaces down one after another, slowly: seen to take 20 s.
constexpr int kNetPatienceMs = 40'000;
constexpr int kHoldMs = 500;  // how long a process is held for a kill that may have to wait for it

bool every_call() {
  const char* wanted = std::getenv("TARE_KILL_MATRIX");
  return wanted != nullptr && std::string_view(wanted) == "full";
}

// Which of `count` calls are tried; says so, with the figure that is of interest by itself.
std::vector<int> tried_of(const Sweep& sweep, int count) {
  const int tries = every_call() ? count : std::min(kTries, count);
  std::vector<int> numbers;
  for (int i = 0; i < tries; ++i) numbers.push_back(1 + (2 * i + 1) * count / (2 * tries));
  if (every_call()) {
    for (int i = 0; i < tries; ++i) numbers[static_cast<std::size_t>(i)] = i + 1;
  }
  std::printf("%s: %d system calls; tried before %zu of them\n", sweep.what, count, numbers.size());
  std::string key = sweep.what;
  std::ranges::replace_if(key, [](char c) { return c == ' ' || c == ',' || c == '-'; }, '_');
  ::testing::Test::RecordProperty("calls_of_" + key, count);
  return numbers;
}

template <class Condition>
bool eventually(int patience_ms, Condition condition) {
  for (int waited_ms = 0;; waited_ms += 2) {
    if (condition()) return true;
    if (waited_ms >= patience_ms) return false;
    ::usleep(2'000);
  }
}

bool another_launcher(pid_t ours) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = sys::read_file_at(sys::kCwd, entry.path().string() + "/comm")
                                 .value_or("");
    if (name == "tare-launcher\n" && entry.path().filename() != std::to_string(ours)) return true;
  }
  return false;
}

bool holds_a_net_namespace(pid_t pid) {
  std::error_code unreadable;
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), unreadable);
    if (target.starts_with("net:[")) return true;
  }
  return false;
}

}  // namespace

std::string described(const model::Outcome& outcome) {
  return std::string(model::to_string(outcome.reason)) + " " + outcome.message;
}

void KillMatrix::SetUp() {
  mounts_ = mounts_of(launcher_.pid());
  (void)launcher_.run(shell_spec("true"));  // what is made once is there; the pool knows its kind
  settle();
}

// Whose they are cannot be told: beside another launcher the count says nothing. Else a moment
// without a new one is enough, and as long as some go, the kernel is at work.
void KillMatrix::TearDown() {
  settle();
  if (!net_namespaces_ || !every_call()) return;  // too slow for each day
  for (int left = 0, least = INT_MAX; left < least;) {
    least = std::min(least, empty_net_namespaces().value_or(0));
    const bool fewer = eventually(kNetPatienceMs, [&] {
      if (another_launcher(launcher_.pid())) return true;
      left = empty_net_namespaces().value_or(0);
      return left <= *net_namespaces_ || left < least;
    });
    if (left <= *net_namespaces_ || another_launcher(launcher_.pid())) return;
    if (!fewer) break;
  }
  ADD_FAILURE() << "network namespaces are left";
}

// --- What is there

std::uint64_t KillMatrix::files_in_use() const {
  struct statvfs status = {};
  EXPECT_EQ(::statvfs(launcher_.home().c_str(), &status), 0);
  return status.f_files - status.f_ffree;
}

long KillMatrix::mounts_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/mountinfo";
  return std::ranges::count(sys::read_file_at(sys::kCwd, path).value_or(""), '\n');
}

sandbox::PoolMessage KillMatrix::pool_now() {
  launcher_.send(sandbox::AskPoolMessage{});
  return std::get<sandbox::PoolMessage>(launcher_.next());
}

std::vector<pid_t> KillMatrix::inits() const {
  std::vector<pid_t> pids = processes_of(launcher_.home());
  std::erase_if(pids, [](pid_t pid) { return !is_init(pid); });
  return pids;
}

pid_t KillMatrix::program_of(pid_t init) const {
  const std::vector<pid_t> children = children_of(init);
  return children.size() == 1 ? children.front() : 0;
}

std::vector<std::string> KillMatrix::unsettled() {
  std::vector<std::string> wrong;
  const sandbox::PoolMessage pool = pool_now();
  const auto waiting = static_cast<std::size_t>(pool_);
  if (pool.idle != waiting || pool.making != 0) {
    wrong.push_back(std::to_string(pool.idle) + " sandboxes wait, " + std::to_string(pool.making) +
                    " are being made");
  }
  const auto processes = processes_of(launcher_.home());
  if (processes.size() != 2 * waiting)
    wrong.push_back(std::to_string(processes.size()) + " processes in its cgroups");
  std::set<std::string> cgroups;  // by their names, which are the same in all hierarchies
  for (const std::string& path : sandbox_cgroups_of(launcher_.home()))
    cgroups.insert(path.substr(path.rfind('/') + 1));
  if (cgroups.size() != waiting) wrong.insert(wrong.end(), cgroups.begin(), cgroups.end());
  for (std::string& loop : loops_on_file_system_of(launcher_.home()))
    wrong.push_back(std::move(loop));
  const auto makers = makers_of(launcher_.pid());
  if (children_of(launcher_.pid()).size() != makers.size() + waiting)
    wrong.push_back("a child of the launcher that is neither maker nor tare-init");
  for (const pid_t pid : makers) {
    if (mounts_of(pid) != mounts_) wrong.push_back("a mount of a maker");
    if (holds_a_net_namespace(pid)) wrong.push_back("a maker's network namespace");
  }
  if (holds_a_net_namespace(launcher_.pid())) wrong.push_back("the launcher's network namespace");
  if (mounts_of(launcher_.pid()) != mounts_) wrong.push_back("a mount of the launcher");
  return wrong;
}

void KillMatrix::settle() {
  std::vector<std::string> wrong;
  eventually(kPatienceMs, [&] { return (wrong = unsettled()).empty(); });
  EXPECT_THAT(wrong, ::testing::IsEmpty());
}

// --- A run that is begun, traced

model::SandboxSpec KillMatrix::spec_of(const Sweep& sweep) {
  model::SandboxSpec spec = shell_spec(sweep.ends ? "exit 7" : "sleep 1000");
  if (!sweep.image) return spec;
  // Each of another size, so that its template has to be made, too.
  if (disk_bytes_ == 0) disk_bytes_ = spec.limits.memory_bytes / 2;
  spec.limits.disk_bytes = disk_bytes_ += 1U << 20;
  return spec;
}

// All idle, and about to be asked for `phase` of a run.
TestLauncher::Live KillMatrix::begin(const Sweep& sweep, std::optional<Stepper>& stepper) {
  const model::SandboxSpec spec = spec_of(sweep);
  Live live;
  if (sweep.phase != Phase::launch) {
    live = launcher_.launch(spec);
    EXPECT_TRUE(starts(live.id));
  }
  if (sweep.phase == Phase::release) {
    launcher_.send(sandbox::KillMessage{live.id});
    EXPECT_EQ(end_of(live.id).outcome.reason, EndReason::killed);
  }
  if (sweep.waiting) {
    const std::vector<pid_t> waiting = inits();
    if (waiting.size() != 1) throw std::runtime_error("not one sandbox waits");
    const pid_t pid = sweep.who == Stepped::init ? waiting[0] : program_of(waiting[0]);
    stepper.emplace(Waiting{pid}, sweep.who);
  } else {
    stepper.emplace(launcher_.pid(), sweep.who);
  }
  switch (sweep.phase) {
    case Phase::launch: return launcher_.launch(spec);
    case Phase::end: launcher_.send(sandbox::KillMessage{live.id}); break;
    case Phase::release: launcher_.send(sandbox::ReleaseMessage{live.id}); break;
  }
  return live;
}

// When the held process has done what it had to do, and waits.
Stepper::Over KillMatrix::over(const Sweep& sweep) {
  const bool for_pool = pool_ > 0 && !sweep.waiting;
  switch (sweep.who) {
    case Stepped::launcher:
    case Stepped::helper: break;
    case Stepped::maker: return [](const Stop&) { return true; };
    case Stepped::init:
      // Prepared is all that it gets to be; or the program runs, which does not end.
      return [for_pool, ends = sweep.ends](const Stop& stop) {
        return for_pool ? stop.reports == 1 : !ends && stop.reports == 2;
      };
    case Stepped::program: return [for_pool](const Stop&) { return for_pool; };
  }
  // A release: the removal has been ordered; it has been answered.
  if (sweep.phase == Phase::release)
    return [waits = 0](const Stop&) mutable { return ++waits == 2; };
  return [this](const Stop&) { return launcher_.has_message(); };
}

bool KillMatrix::starts(const std::string& id) {
  const auto message = launcher_.next();
  const auto* started = std::get_if<StartedMessage>(&message);
  return started != nullptr && started->id == id;
}

EndedMessage KillMatrix::end_of(const std::string& id) {
  bool started = false;
  for (;;) {
    const auto message = launcher_.next();
    if (const auto* ended = std::get_if<EndedMessage>(&message)) {
      EXPECT_EQ(ended->id, id);
      return *ended;
    }
    EXPECT_TRUE(std::holds_alternative<StartedMessage>(message) && !started);
    started = true;
  }
}

void KillMatrix::kill_held(std::optional<Stepper>& stepper, Stops stop) {
  if (stop) {
    EXPECT_EQ(::kill(stop->pid, SIGKILL), 0);
    EXPECT_TRUE(stepper->dies(kPatienceMs));
  }
  stepper.reset();
}

void KillMatrix::hold(const Sweep& sweep, const Act& act) {
  std::optional<Stepper> stepper;
  Live counted = begin(sweep, stepper);
  const int count = stepper->count(over(sweep));
  stepper.reset();
  if (sweep.phase == Phase::launch && !sweep.ends) launcher_.send(sandbox::KillMessage{counted.id});
  if (sweep.phase != Phase::release) (void)finish(std::move(counted));
  settle();
  for (const int number : tried_of(sweep, count)) {
    Live live = begin(sweep, stepper);
    const auto stop = stepper->run_to(number, over(sweep));
    SCOPED_TRACE(std::string(sweep.what) + ": " + (stop ? stop->text() : "after the last call"));
    act(stepper, stop, std::move(live));
    stepper.reset();
    if (++deeds_ % kRunEvery == 0) {
      EXPECT_EQ(launcher_.run(shell_spec("echo fine")).out, "fine\n");
    }
    settle();
    if (HasFatalFailure()) return;
  }
}

// --- Deeds, and what must be true afterwards

void KillMatrix::kill_launcher(std::optional<Stepper>& stepper) {
  launcher_.kill();
  stepper.reset();
  EXPECT_THAT(orphans_.left_after(kPatienceMs), ::testing::IsEmpty());
  EXPECT_THAT(processes_of(launcher_.home()), ::testing::IsEmpty());
  // What the end of a mount namespace frees, it frees a moment later.
  std::vector<std::string> loops;
  eventually(kPatienceMs,
             [&] { return (loops = loops_on_file_system_of(launcher_.home())).empty(); });
  EXPECT_THAT(loops, ::testing::IsEmpty());
  launcher_.restart();
  EXPECT_THAT(sandbox_cgroups_of(launcher_.home()), ::testing::IsEmpty());
  if (pool_ > 0) (void)launcher_.run(shell_spec("true"));  // the pool knows its kind again
}

EndedMessage KillMatrix::finish(Live live) {
  const EndedMessage ended = launcher_.finish(std::move(live)).ended;
  launcher_.send(sandbox::ListMessage{});
  const auto message = launcher_.next();
  EXPECT_TRUE(std::holds_alternative<sandbox::ListedMessage>(message)) << "told twice";
  return ended;
}

void KillMatrix::launcher_dies_in(const Sweep& sweep) {
  std::optional<Stepper> none;
  kill_launcher(none);
  settle();
  const std::uint64_t files = files_in_use();
  hold(sweep, [&](std::optional<Stepper>& stepper, Stops, Live) { kill_launcher(stepper); });
  kill_launcher(none);
  settle();
  EXPECT_EQ(files_in_use(), files);
}

void KillMatrix::message_kills_in(const Sweep& sweep) {
  hold(sweep, [&](std::optional<Stepper>& stepper, Stops stop, Live live) {
    launcher_.send(sandbox::KillMessage{live.id});
    if (stop && sweep.who != Stepped::launcher) (void)stepper->dies(kHoldMs);
    stepper.reset();
    const model::Outcome outcome = finish(std::move(live)).outcome;
    // What has exited before the message came has not been killed.
    const bool exited = sweep.ends && (!stop || stop->reports == 3);
    EXPECT_EQ(outcome.reason, exited ? EndReason::exited : EndReason::killed) << described(outcome);
  });
}

// tared dies: its successor is told of the run, whatever the held process was doing.
void KillMatrix::tared_dies_in(const Sweep& sweep) {
  hold(sweep, [&](std::optional<Stepper>& stepper, Stops, Live live) {
    launcher_.disconnect();
    stepper.reset();
    launcher_.connect();
    launcher_.send(sandbox::ListMessage{});
    std::vector<sys::UniqueFd> pipes;
    auto message = launcher_.next(&pipes);
    // Its start may be told between the greeting and the question.
    if (std::holds_alternative<StartedMessage>(message)) message = launcher_.next(&pipes);
    const auto* found = std::get_if<sandbox::LiveMessage>(&message);
    ASSERT_TRUE(found != nullptr && found->id == live.id) << message.index();
    EXPECT_EQ(pipes.size(), 2U);
    EXPECT_TRUE(std::holds_alternative<sandbox::ListedMessage>(launcher_.next()));
    launcher_.send(sandbox::KillMessage{live.id});
    EXPECT_EQ(finish(std::move(live)).outcome.reason, EndReason::killed);
  });
}

}  // namespace tare::testing
