// A real tare-launcher on a TARE_HOME of its own in a temporary folder, spoken to as tared does,
// but blocking: for the kernel tests and the benchmarks. The destructor ends it and audits that
// nothing is left (see leaks.h).
//
// Process: the test's. Needs root. The binaries are in bin_dir().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/sandbox_spec.h"
#include "sandbox/launch/protocol.h"
#include "sandbox/plan/compile.h"
#include "sys/fd.h"
#include "sys/process.h"

namespace tare::testing {

struct RunResult {
  sandbox::EndedMessage ended;
  std::optional<sandbox::StartedMessage> started;
  std::map<sandbox::DeniedCall, std::uint64_t> denied;  // refused calls, as told last
  std::string out, err;
  sys::UniqueFd output;  // the output folder
};

// A spec of the `host` environment with small limits: `/bin/sh -c script` unless argv is set.
model::SandboxSpec host_spec(std::vector<std::string> argv);
model::SandboxSpec shell_spec(const std::string& script);
// As tared compiles it on this kernel.
sandbox::Plans plans_of(const model::SandboxSpec& spec);
// The step at which the set-up failed, as people are shown it; "" when it was none.
std::string failed_step_of(const model::SandboxSpec& spec, const RunResult& result);

class TestLauncher {
 public:
  enum class Home { folder, below_a_mount };
  // `pool`: how many sandboxes may wait (tare-launcher --pool).
  // `open_files`: its hard limit, which it cannot raise.
  explicit TestLauncher(Home kind = Home::folder, int pool = 32, std::uint64_t open_files = 0);
  ~TestLauncher();

  // Whole life of one run; reads stdout and stderr to the end. `input`: what the program reads on
  // stdin.
  RunResult run(const model::SandboxSpec& spec, const std::string& input = "");

  // The same in steps, for tests that interfere. Pipes are kept in the handle.
  struct Live {
    std::string id;
    sys::UniqueFd out, err, in;
    sys::UniqueFd gate;  // of one launched with Gate::closed: a byte opens it
  };
  enum class Gate { open, closed };
  Live launch(const model::SandboxSpec& spec, Gate gate = Gate::open);
  // The same with steps of one's own; the rest is as in `spec`.
  Live launch(const model::SandboxSpec& spec, const sandbox::Plans& plans, Gate gate = Gate::open);
  sandbox::FromLauncher next(std::vector<sys::UniqueFd>* fds = nullptr, int timeout_ms = 20'000);
  void send(const sandbox::ToLauncher& message, const std::vector<int>& fds = {});
  RunResult finish(Live live);

  // `count` launches of it sent at once; for each, in any order, us from its sending to its end; -1
  // when it did not exit with 0.
  std::vector<double> burst(const model::SandboxSpec& spec, int count);
  // Launches `count` sandboxes that wait for good: their program blocks. How many are up.
  int fill(const model::SandboxSpec& spec, int count);

  void connect();
  void disconnect() { socket_.reset(); }  // as a tared that dies
  void restart();                         // SIGKILL and a new one on the same home
  void kill();
  pid_t pid() const { return process_.pid(); }
  bool has_message() const;  // next() would not wait
  const std::string& home() const { return home_; }
  const std::string& log_path() const { return log_; }

  const std::string& cgroup_mode() const { return cgroup_mode_; }  // "v2", "v1" or "hybrid"

 private:
  void start();
  std::string
      folder_;  // of the test; the home is it, or a folder on a file system mounted below it
  std::string home_, log_;
  std::string pool_;
  std::string cgroup_mode_;
  std::uint64_t open_files_ = 0;
  sys::Child process_;
  sys::UniqueFd socket_;
};

// $TARE_BIN_DIR, else where they were built.
std::string bin_dir();
std::string fresh_run_id();
// As tared has them; the filter is built once.
sandbox::Walls walls_of(model::Profile profile);
std::string read_to_end(int fd);

}  // namespace tare::testing
