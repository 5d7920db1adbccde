// The kill matrix: whoever dies, before whichever system call of a launch or an end, nothing is
// left behind, and a run that was begun ends exactly once, for the reason that is true.
//
//   dies \ held before a call of  tare-launcher         tare-init  the program until execve
//   tare-launcher                 launch, end, release  yes        yes
//   tare-init                     -                     yes        -
//   the program                   -                     -          yes
//   all, by a kill message        launch                yes        yes
//   tared (its connection)        launch                -          -
//
// Every 16th call; each of them with TARE_KILL_MATRIX=full (`./dev test full`).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "support/launcher.h"
#include "support/leaks.h"
#include "support/orphans.h"
#include "support/stepper.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

using model::EndReason;
using sandbox::EndedMessage;
using sandbox::StartedMessage;

constexpr int kStride = 16;
constexpr int kFirst = 5;
constexpr int kRunEvery = 8;  // a whole run is tried after every so many kills of the launcher
constexpr int kPatienceMs = 10'000;
constexpr int kHoldMs = 500;  // how long a process is held for a kill that may have to wait for it

bool every_call() {
  const char* wanted = std::getenv("TARE_KILL_MATRIX");
  return wanted != nullptr && std::string_view(wanted) == "full";
}

// Which of `count` calls are tried; says so, with the figure that is of interest by itself.
std::vector<int> tried_of(const char* what, int count) {
  const int stride = every_call() ? 1 : kStride;
  const int first = every_call() ? 1 : kFirst;
  std::vector<int> numbers;
  for (int number = first; number <= count; number += stride) numbers.push_back(number);
  std::printf("%s: %d system calls; tried before %zu of them (1 in %d, from number %d)\n", what,
              count, numbers.size(), stride, first);
  std::string key = what;
  std::ranges::replace(key, ' ', '_');
  ::testing::Test::RecordProperty("calls_of_" + key, count);
  return numbers;
}

enum class Phase { launch, end, release };

model::SandboxSpec spec_with(bool image) {
  model::SandboxSpec spec = shell_spec("sleep 1000");
  if (image) spec.limits.disk_bytes = spec.limits.memory_bytes / 2;
  return spec;
}

std::string described(const model::Outcome& outcome) {
  return std::string(model::to_string(outcome.reason)) + " " + outcome.message;
}

class KillMatrix : public ::testing::Test {
 protected:
  using Live = TestLauncher::Live;

  void SetUp() override {
    (void)launcher_.run(shell_spec("true"));  // what is made once is there
    mounts_ = mounts_of_launcher();
  }

  // --- What is left ---

  // The home is a file system of its own, so an open file without a name is seen, too.
  std::uint64_t files_in_use() const {
    struct statvfs status = {};
    EXPECT_EQ(::statvfs(launcher_.home().c_str(), &status), 0);
    return status.f_files - status.f_ffree;
  }

  // In the launcher's own mount namespace.
  long mounts_of_launcher() const {
    const std::string path = "/proc/" + std::to_string(launcher_.pid()) + "/mountinfo";
    const std::string text = sys::read_file_at(sys::kCwd, path).value_or("");
    return std::ranges::count(text, '\n');
  }

  // What the end of a mount namespace frees, it frees a moment later.
  std::vector<std::string> loops_left() const {
    const auto loops = [this] { return loops_on_file_system_of(launcher_.home()); };
    for (int i = 0; i < kPatienceMs / 10 && !loops().empty(); ++i) ::usleep(10'000);
    return loops();
  }

  // Others on the machine come and go: a moment without a new one is enough.
  bool net_namespace_left() const {
    if (!net_namespaces_) return false;
    for (int i = 0; i < kPatienceMs / 10; ++i) {
      if (empty_net_namespaces() <= net_namespaces_) return false;
      ::usleep(10'000);
    }
    return true;
  }

  // --- A run that is begun, traced ---

  // The launcher idles, and is about to be asked for `phase` of a run.
  Live begin(Phase phase, const model::SandboxSpec& spec, std::optional<Stepper>& stepper) {
    Live live;
    if (phase != Phase::launch) {
      live = launcher_.launch(spec);
      EXPECT_TRUE(starts(live.id));
    }
    if (phase == Phase::release) {
      launcher_.send(sandbox::KillMessage{live.id});
      EXPECT_EQ(end_of(live.id).outcome.reason, EndReason::killed);
    }
    stepper.emplace(launcher_.pid(), Stepped::launcher);
    switch (phase) {
      case Phase::launch: return launcher_.launch(spec);
      case Phase::end: launcher_.send(sandbox::KillMessage{live.id}); break;
      case Phase::release: launcher_.send(sandbox::ReleaseMessage{live.id}); break;
    }
    return live;
  }

  std::function<bool()> over(Phase phase) {
    if (phase == Phase::release) return [] { return true; };
    return [this] { return launcher_.has_message(); };
  }

  bool starts(const std::string& id) {
    const auto message = launcher_.next();
    const auto* started = std::get_if<StartedMessage>(&message);
    return started != nullptr && started->id == id;
  }

  // At most one `started` before.
  EndedMessage end_of(const std::string& id) {
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

  static void kill_held(std::optional<Stepper>& stepper, const std::optional<Stop>& stop) {
    if (stop) {
      EXPECT_EQ(::kill(stop->pid, SIGKILL), 0);
      EXPECT_TRUE(stepper->dies(kPatienceMs));
    }
    stepper.reset();
  }

  // --- What must be true afterwards ---

  void kill_launcher_and_audit(std::optional<Stepper>& stepper) {
    launcher_.kill();
    stepper.reset();
    EXPECT_THAT(orphans_.left_after(kPatienceMs), ::testing::IsEmpty());
    EXPECT_THAT(processes_of(launcher_.home()), ::testing::IsEmpty());
    EXPECT_THAT(loops_left(), ::testing::IsEmpty());
    EXPECT_FALSE(net_namespace_left());
    launcher_.restart();
    EXPECT_THAT(sandbox_cgroups_of(launcher_.home()), ::testing::IsEmpty());
    EXPECT_EQ(mounts_of_launcher(), mounts_);
    if (++kills_ % kRunEvery == 0) {
      EXPECT_EQ(launcher_.run(shell_spec("echo fine")).out, "fine\n");
    }
  }

  // The launcher lives: one end, and then it knows nothing of the run any more.
  EndedMessage finish_and_audit(Live live) {
    const EndedMessage ended = launcher_.finish(std::move(live)).ended;
    launcher_.send(sandbox::ListMessage{});
    const auto message = launcher_.next();
    EXPECT_TRUE(std::holds_alternative<sandbox::ListedMessage>(message)) << "told twice";
    EXPECT_THAT(sandbox_cgroups_of(launcher_.home()), ::testing::IsEmpty());
    EXPECT_THAT(processes_of(launcher_.home()), ::testing::IsEmpty());
    EXPECT_THAT(loops_left(), ::testing::IsEmpty());
    EXPECT_EQ(mounts_of_launcher(), mounts_);
    return ended;
  }

  // Kills the launcher before each call that it makes in a phase of a run's life.
  void sweep_launcher(const char* what, Phase phase, bool image) {
    std::optional<Stepper> stepper;
    Live counted = begin(phase, spec_with(image), stepper);
    const int count = stepper->count(over(phase));
    kill_launcher_and_audit(stepper);  // after the last
    const std::uint64_t files = files_in_use();
    for (const int number : tried_of(what, count)) {
      const Live live = begin(phase, spec_with(image), stepper);
      const auto stop = stepper->run_to(number, over(phase));
      SCOPED_TRACE(stop ? stop->text() : "after the last call");
      kill_launcher_and_audit(stepper);
      if (kills_ % kRunEvery != 0) {
        EXPECT_EQ(files_in_use(), files);
      }
    }
  }

  // Holds `who` before each of its calls in the life of a short run, or in that of a long one until
  // the program runs. `act` does the deed.
  template <class Act>
  void sweep_inside(Stepped who, Act act, bool long_run = false) {
    const std::string script = long_run ? "sleep 1000" : "exit 7";
    const auto over = [long_run] { return long_run; };
    std::optional<Stepper> stepper(std::in_place, launcher_.pid(), who);
    Live counted = launcher_.launch(shell_spec(script));
    const int count = stepper->count(over);
    stepper.reset();
    if (long_run) launcher_.send(sandbox::KillMessage{counted.id});
    (void)finish_and_audit(std::move(counted));
    for (const int number : tried_of(who == Stepped::init ? "tare-init" : "the program", count)) {
      stepper.emplace(launcher_.pid(), who);
      Live live = launcher_.launch(shell_spec(script));
      const auto stop = stepper->run_to(number, over);
      SCOPED_TRACE(stop ? stop->text() : "after the last call");
      act(stepper, stop, std::move(live));
    }
  }

  Orphans orphans_;
  const std::optional<int> net_namespaces_ = empty_net_namespaces();
  TestLauncher launcher_{TestLauncher::Home::below_a_mount};
  long mounts_ = 0;
  int kills_ = 0;
};

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_of_a_launch_leaves_nothing) {
  sweep_launcher("launch", Phase::launch, false);
}

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_of_a_launch_with_an_image_leaves_nothing) {
  sweep_launcher("launch with an image", Phase::launch, true);
}

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_of_an_end_leaves_nothing) {
  sweep_launcher("end", Phase::end, true);
}

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_of_a_release_leaves_nothing) {
  sweep_launcher("release", Phase::release, true);
}

TEST_F(KillMatrix, a_kill_message_before_a_call_of_the_launcher_ends_the_run_once) {
  std::optional<Stepper> stepper;
  Live counted = begin(Phase::launch, spec_with(false), stepper);
  const int count = stepper->count(over(Phase::launch));
  launcher_.send(sandbox::KillMessage{counted.id});
  stepper.reset();
  EXPECT_EQ(finish_and_audit(std::move(counted)).outcome.reason, EndReason::killed);
  for (const int number : tried_of("launch, warm", count)) {
    Live live = begin(Phase::launch, spec_with(false), stepper);
    const auto stop = stepper->run_to(number, over(Phase::launch));
    SCOPED_TRACE(stop ? stop->text() : "after the last call");
    launcher_.send(sandbox::KillMessage{live.id});
    stepper.reset();
    EXPECT_EQ(finish_and_audit(std::move(live)).outcome.reason, EndReason::killed);
  }
}

// tared dies: its successor is told of the run, whatever the launcher was doing.
TEST_F(KillMatrix, a_lost_connection_before_a_call_of_the_launcher_loses_no_run) {
  std::optional<Stepper> stepper;
  int count = 0;
  {
    Live live = begin(Phase::launch, spec_with(false), stepper);
    count = stepper->count(over(Phase::launch));
    launcher_.send(sandbox::KillMessage{live.id});
    stepper.reset();
    (void)finish_and_audit(std::move(live));
  }
  for (const int number : tried_of("launch, warm", count)) {
    Live live = begin(Phase::launch, spec_with(false), stepper);
    const auto stop = stepper->run_to(number, over(Phase::launch));
    SCOPED_TRACE(stop ? stop->text() : "after the last call");
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
    EXPECT_EQ(finish_and_audit(std::move(live)).outcome.reason, EndReason::killed);
  }
}

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_inside_leaves_nothing) {
  const auto act = [this](std::optional<Stepper>& stepper, const auto&, Live) {
    kill_launcher_and_audit(stepper);
  };
  sweep_inside(Stepped::init, act);
  sweep_inside(Stepped::init, act, true);
  sweep_inside(Stepped::program, act, true);
}

// The launcher tells what it knows: a set-up that could not be ended by it, or a tare-init that
// died by itself; and of a program whose end was reported before, that end.
TEST_F(KillMatrix, sigkill_of_tare_init_before_its_call_ends_the_run_once_and_says_so) {
  sweep_inside(Stepped::init, [this](std::optional<Stepper>& stepper, const auto& stop, Live live) {
    kill_held(stepper, stop);
    const model::Outcome outcome = finish_and_audit(std::move(live)).outcome;
    if (!stop || stop->reports == 2) {
      EXPECT_EQ(outcome.reason, EndReason::exited) << described(outcome);
      EXPECT_EQ(outcome.exit_code, 7);
    } else if (stop->reports == 1) {
      EXPECT_EQ(outcome.reason, EndReason::daemon_error) << described(outcome);
    } else {
      EXPECT_THAT(outcome.reason,
                  ::testing::AnyOf(EndReason::daemon_error, EndReason::setup_failed))
          << described(outcome);
    }
  });
}

TEST_F(KillMatrix, a_kill_message_before_a_call_inside_ends_the_run_once_as_killed) {
  for (const Stepped who : {Stepped::init, Stepped::program}) {
    sweep_inside(who, [this](std::optional<Stepper>& stepper, const auto& stop, Live live) {
      launcher_.send(sandbox::KillMessage{live.id});
      if (stop) (void)stepper->dies(kHoldMs);
      stepper.reset();
      const model::Outcome outcome = finish_and_audit(std::move(live)).outcome;
      const bool reported = !stop || stop->reports == 2;
      EXPECT_EQ(outcome.reason, reported ? EndReason::exited : EndReason::killed)
          << described(outcome);
    });
  }
}

// As the kernel does when memory runs out: the program is not there yet, or it is about to be.
TEST_F(KillMatrix, sigkill_of_the_program_before_its_call_ends_the_run_once) {
  sweep_inside(Stepped::program, [this](std::optional<Stepper>& stepper, const auto& stop,
                                        Live live) {
    kill_held(stepper, stop);
    const model::Outcome outcome = finish_and_audit(std::move(live)).outcome;
    if (stop) {
      EXPECT_THAT(outcome.reason, ::testing::AnyOf(EndReason::signalled, EndReason::setup_failed))
          << described(outcome);
    } else {
      EXPECT_EQ(outcome.reason, EndReason::exited);
    }
  });
}

}  // namespace
}  // namespace tare::testing
