// The kill matrix: whoever dies, before whichever system call of whoever, nothing is left behind,
// and a run that was begun ends exactly once, for the reason that is true. What its tests share;
// which process dies where is told in kill_matrix_test.cpp (a sandbox made for the run),
// kill_matrix_makers_test.cpp, kill_matrix_pool_test.cpp (a sandbox that waited),
// kill_matrix_shapes_test.cpp (of other shapes than a plain run) and kill_matrix_live_test.cpp
// (what is asked of a sandbox that lives).
//
// A few calls of each sweep, spread over it; each of them with TARE_KILL_MATRIX=full
// (`./dev test full`). A sweep in which nobody was held is a failure.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/launcher.h"
#include "support/leaks.h"
#include "support/orphans.h"
#include "support/stepper.h"

namespace tare::testing {

using model::EndReason;
using sandbox::EndedMessage;
using sandbox::StartedMessage;

enum class Phase { launch, end, release };

// What is launched; as it is, a run on `host` with its scratch space in memory.
struct Shape {
  bool session = false;  // it serves execs, and has no program
  bool image = false;    // a scratch space on a disk image
  bool input = false;    // the program copies /input/given to /output/taken
  bool layers = false;   // an environment of three layers, and a runner
};

// One way to hold one process in the life of a run.
struct Sweep {
  const char* what;
  Stepped who;
  Phase phase = Phase::launch;
  Shape shape = {};
  bool ends = false;  // the program exits with 7, at once; else it stays
  // `who` is of the sandbox that waits, from its claim on. Else, where one waits, of the one that
  // is made in its place.
  bool waiting = false;
  int tries = 3;  // but in the full matrix
};

bool every_call();  // the full matrix
std::string described(const model::Outcome& outcome);

constexpr int kPatienceMs = 10'000;
constexpr int kHoldMs = 500;  // how long a process is held for a kill that may have to wait for it

template <class Condition>
bool eventually(int patience_ms, Condition condition) {
  for (int waited_ms = 0;; waited_ms += 2) {
    if (condition()) return true;
    if (waited_ms >= patience_ms) return false;
    ::usleep(2'000);
  }
}

class KillMatrix : public ::testing::Test {
 protected:
  using Live = TestLauncher::Live;
  using Stops = const std::optional<Stop>&;

  explicit KillMatrix(int pool = 0)
      : pool_(pool), launcher_(TestLauncher::Home::below_a_mount, pool) {}
  void SetUp() override;
  void TearDown() override;

  // --- What is there ---
  // In the full matrix: to wait for the kernel's own work is too slow for each day.
  static std::optional<int> net_namespaces_before();
  // The home is a file system of its own, so an open file without a name is seen, too.
  std::uint64_t files_in_use() const;
  // Of the launcher's own mount namespace, or of a maker's.
  static long mounts_of(pid_t pid);
  sandbox::PoolMessage pool_now();
  pid_t program_of(pid_t init) const;
  // Until as many sandboxes wait as shall, none is being made, and nothing else is there: no
  // process, cgroup, loop device or mount. What is wrong; empty when all is well.
  std::vector<std::string> unsettled();
  void settle();

  // --- Which calls are tried ---
  // Whoever is held may have more to do one time: another thing beside it, or what it has killed
  // takes its time to die. So the shortest of several; it has been seen twice.
  static int shortest_of(const std::function<int()>& calls);
  // In the full matrix all of so many, else `tries`, spread over them.
  static std::vector<int> tried_of(const std::string& what, int tries, int count);
  // It has held somebody at least at every second call that was tried.
  static void expect_swept(const std::string& what, int count, std::size_t tried, int held);

  // --- A run that is begun, traced ---
  model::SandboxSpec spec_of(const Sweep& sweep);
  Live launch(const model::SandboxSpec& spec);
  Live begin(const Sweep& sweep, std::optional<Stepper>& stepper);
  Stepper::Over over(const Sweep& sweep);
  bool starts(const std::string& id);
  // At most one `started` before.
  EndedMessage end_of(const std::string& id);
  static void kill_held(std::optional<Stepper>& stepper, Stops stop);

  // After a deed: all is settled, and every so often a whole run is tried.
  void go_on();
  // Holds `who` before each of its calls; `act` does the deed, and leaves all settled.
  using Act = std::function<void(std::optional<Stepper>&, Stops, Live)>;
  void hold(const Sweep& sweep, const Act& act);

  // --- Deeds, and what must be true afterwards ---
  void kill_launcher(std::optional<Stepper>& stepper);
  // The launcher lives: one end, and then it knows nothing of the run any more.
  EndedMessage finish(Live live);
  void launcher_dies_in(const Sweep& sweep);
  void message_kills_in(const Sweep& sweep);
  void tared_dies_in(const Sweep& sweep);
  // Of a maker, the tare-init or the program of a sandbox that is made for this.
  void held_dies_in(const Sweep& sweep);

  const int pool_;
  Orphans orphans_;
  const std::optional<int> net_namespaces_ = net_namespaces_before();
  TestLauncher launcher_;
  const std::filesystem::path runs_ = std::filesystem::path(launcher_.home()) / "runs";
  long mounts_ = 0;
  std::size_t makers_ = 0;
  int deeds_ = 0;

 private:
  std::uint64_t disk_bytes_ = 0;  // of the last image
  std::vector<std::string> layers_;
  std::string runner_;
};

// With one sandbox that waits.
class WarmKillMatrix : public KillMatrix {
 protected:
  WarmKillMatrix() : KillMatrix(1) {}
};

}  // namespace tare::testing
