#include "kill_matrix.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "layers.h"
#include "support/session.h"
#include "sys/files.h"

namespace tare::testing {

bool every_call() {
  const char* wanted = std::getenv("TARE_KILL_MATRIX");
  return wanted != nullptr && std::string_view(wanted) == "full";
}

namespace {

// TARE_KILL_MATRIX as a number: so many calls of each sweep.
int tries_or(int usual) {
  const char* wanted = std::getenv("TARE_KILL_MATRIX");
  const int tries = wanted == nullptr ? 0 : std::atoi(wanted);
  return tries > 0 ? tries : usual;
}

}  // namespace

std::string described(const model::Outcome& outcome) {
  return std::string(model::to_string(outcome.reason)) + " " + outcome.message;
}

namespace {

constexpr int kMostCounted = 8;
constexpr int kLeastCalls = 3;  // that whoever is held makes
constexpr std::size_t kLeastTried = 2;
constexpr int kRunEvery = 8;  // a whole run is tried after every so many deeds
// The kernel takes network namespaces down one after another, slowly: seen to take 20 s.
constexpr int kNetPatienceMs = 40'000;
constexpr int kNetRoundMs = 200;
constexpr int kLooksForEach = 200;  // that is left, to have those before it freed

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

void KillMatrix::SetUp() {
  mounts_ = mounts_of(launcher_.pid());
  (void)launcher_.run(shell_spec("true"));  // what is made once is there; the pool knows its kind
  makers_ = makers_of(launcher_.pid()).size();
  settle();
}

// Whose they are cannot be told: beside another launcher the count says nothing. Else a moment
// without a new one is enough, and as long as some go, the kernel is at work.
void KillMatrix::TearDown() {
  settle();
  if (!net_namespaces_) return;
  for (int left = 0, least = INT_MAX; left < least;) {
    least = std::min(least, empty_net_namespaces().value_or(0));
    const bool fewer = eventually(kNetPatienceMs, [&, looks = 0]() mutable {
      if (another_launcher(launcher_.pid())) return true;
      if (++looks % kLooksForEach == 0) leave_a_net_namespace();
      left = empty_net_namespaces().value_or(0);
      return left <= *net_namespaces_ || left < least;
    });
    if (left <= *net_namespaces_ || another_launcher(launcher_.pid())) return;
    if (!fewer) break;
  }
  ADD_FAILURE() << "network namespaces are left";
}

// --- What is there

std::optional<int> KillMatrix::net_namespaces_before() {
  if (!every_call()) return std::nullopt;
  leave_a_net_namespace();  // as at the end: that one counts, and those before it are freed
  std::optional<int> now = empty_net_namespaces();
  for (bool fewer = true; fewer;) {
    fewer = eventually(kNetRoundMs, [&now, before = now] {
      now = empty_net_namespaces();
      return now < before;
    });
  }
  return now;
}

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
  for (;;) {
    const auto message = launcher_.next();
    if (const auto* pool = std::get_if<sandbox::PoolMessage>(&message)) return *pool;
    // An exchange that a tared asked for which is gone is answered, whenever it is over.
    EXPECT_TRUE(std::holds_alternative<sandbox::SwappedMessage>(message)) << message.index();
  }
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
  if (makers.size() != makers_) wrong.push_back(std::to_string(makers.size()) + " makers");
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

// --- Which calls are tried

int KillMatrix::shortest_of(const std::function<int()>& calls) {
  int shortest = INT_MAX;
  for (int counted = 0, seen = 0; counted < kMostCounted && seen < 2; ++counted) {
    const int all = calls();
    if (all < shortest) seen = 0;
    if (all <= shortest) ++seen;
    shortest = std::min(shortest, all);
  }
  return shortest;
}

std::vector<int> KillMatrix::tried_of(const std::string& what, int tries, int count) {
  tries = every_call() ? count : tries_or(tries);
  tries = std::min(tries, count);
  std::vector<int> numbers;
  for (int i = 0; i < tries; ++i)
    numbers.push_back(tries == count ? i + 1 : 1 + (2 * i + 1) * count / (2 * tries));
  std::printf("%s: %d system calls; tried before %zu of them\n", what.c_str(), count,
              numbers.size());
  std::string key = what;
  std::ranges::replace_if(key, [](char c) { return c == ' ' || c == ',' || c == '-'; }, '_');
  ::testing::Test::RecordProperty("calls_of_" + key, count);
  return numbers;
}

void KillMatrix::expect_swept(const std::string& what, int count, std::size_t tried, int held) {
  EXPECT_GE(count, kLeastCalls) << what;
  EXPECT_GE(tried, kLeastTried) << what;
  EXPECT_GE(2 * held, static_cast<int>(tried)) << what << " was over before";
}

// --- A run that is begun, traced

model::SandboxSpec KillMatrix::spec_of(const Sweep& sweep) {
  const Shape& shape = sweep.shape;
  const std::string copies = shape.input ? "read x < /input/given; echo $x > /output/taken; " : "";
  model::SandboxSpec spec = shape.session
                                ? session_spec()
                                : shell_spec(copies + (sweep.ends ? "exit 7" : "sleep 1000"));
  spec.with_input = shape.input;
  if (shape.layers) {
    if (layers_.empty()) {
      layers_ = make_layers(launcher_);
      runner_ = make_runner(launcher_);
    }
    spec.host_root = false;
    spec.layers = layers_;
    spec.runner = runner_;
  }
  if (!shape.image) return spec;
  // Each of another size, so that its template has to be made, too.
  if (disk_bytes_ == 0) disk_bytes_ = spec.limits.memory_bytes / 2;
  spec.limits.disk_bytes = disk_bytes_ += 1U << 20;
  return spec;
}

TestLauncher::Live KillMatrix::launch(const model::SandboxSpec& spec) {
  if (spec.with_input) {
    const std::filesystem::path input = runs_ / spec.id / "input";
    std::filesystem::create_directories(input);
    std::ofstream(input / "given") << "given\n";
  }
  return launcher_.launch(spec);
}

// All idle, and about to be asked for `phase` of a run.
TestLauncher::Live KillMatrix::begin(const Sweep& sweep, std::optional<Stepper>& stepper) {
  const model::SandboxSpec spec = spec_of(sweep);
  Live live;
  if (sweep.phase != Phase::launch) {
    live = launch(spec);
    EXPECT_TRUE(starts(live.id));
  }
  if (sweep.phase == Phase::release) {
    launcher_.send(sandbox::KillMessage{live.id});
    EXPECT_EQ(end_of(live.id).outcome.reason, EndReason::killed);
  }
  if (sweep.waiting) {
    const std::vector<pid_t> waiting = inits_of(launcher_.home());
    if (waiting.size() != 1) throw std::runtime_error("not one sandbox waits");
    const pid_t pid = sweep.who == Stepped::init ? waiting[0] : program_of(waiting[0]);
    stepper.emplace(Waiting{pid}, sweep.who);
  } else {
    stepper.emplace(launcher_.pid(), sweep.who);
  }
  switch (sweep.phase) {
    case Phase::launch: return launch(spec);
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
    case Stepped::helper:
    case Stepped::files: break;
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

void KillMatrix::go_on() {
  if (++deeds_ % kRunEvery == 0) {
    EXPECT_EQ(launcher_.run(shell_spec("echo fine")).out, "fine\n");
  }
  settle();
  for (const auto& run : std::filesystem::directory_iterator(runs_))
    std::filesystem::remove_all(run);
}

void KillMatrix::hold(const Sweep& sweep, const Act& act) {
  std::optional<Stepper> stepper;
  const int count = shortest_of([&] {
    Live counted = begin(sweep, stepper);
    const int all = stepper->count(over(sweep));
    stepper.reset();
    if (sweep.phase == Phase::launch && !sweep.ends)
      launcher_.send(sandbox::KillMessage{counted.id});
    if (sweep.phase != Phase::release) (void)finish(std::move(counted));
    settle();
    return all;
  });
  int held = 0;
  const std::vector<int> tried = tried_of(sweep.what, sweep.tries, count);
  for (const int number : tried) {
    Live live = begin(sweep, stepper);
    const auto stop = stepper->run_to(number, over(sweep));
    SCOPED_TRACE(std::string(sweep.what) + ": " + (stop ? stop->text() : "after the last call"));
    if (stop) ++held;
    act(stepper, stop, std::move(live));
    stepper.reset();
    go_on();
    if (HasFatalFailure()) return;
  }
  expect_swept(sweep.what, count, tried.size(), held);
}

}  // namespace tare::testing
