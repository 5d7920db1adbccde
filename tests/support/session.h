// A live session on a TestLauncher, and execs in it, as tared would ask for them, but blocking.
//
// Process: the test's. The launcher must outlive it; one session at a time reads its messages. An
// end that is told twice is a failure, but for once more after a list().
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/exec.h"
#include "support/launcher.h"

namespace tare::testing {

model::SandboxSpec session_spec();
// With the environment of session_spec().
model::ExecSpec exec_spec(std::vector<std::string> argv);
model::ExecSpec shell_exec(const std::string& script);

struct ExecHandle {
  std::uint32_t number = 0;
  sys::UniqueFd out, err, in;
};
struct ExecResult {
  model::Outcome outcome;
  std::uint32_t failed_step = 0;
  std::string out, err;
};

class TestSession {
 public:
  explicit TestSession(TestLauncher& launcher, model::SandboxSpec spec = session_spec());

  const std::string& id() const { return spec_.id; }
  // Its tare-init, which is the launcher's only one.
  pid_t init() const;
  ExecHandle start(const model::ExecSpec& exec, bool with_stdin = false);
  // Writes `input` and closes stdin, reads both streams to their ends, and waits for the end.
  ExecResult finish(ExecHandle exec, const std::string& input = "");
  ExecResult run(const model::ExecSpec& exec, const std::string& input = "");
  ExecResult sh(const std::string& script) { return run(shell_exec(script)); }
  // Waits until it has executed; its terminal, if it has one. nullopt: it ended without.
  std::optional<sys::UniqueFd> started(std::uint32_t number);
  sandbox::ExecEndedMessage ended(std::uint32_t number);
  bool has_started(std::uint32_t number) const { return started_.contains(number); }
  bool has_ended(std::uint32_t number) const { return ended_.contains(number); }
  void signal(std::uint32_t number, int signal);
  void release(std::uint32_t number);
  // `fds` as in ExecMessage, but for the plan.
  void send(const sandbox::ExecMessage& message, const model::ExecSpec& exec,
            const std::vector<int>& fds);
  std::uint32_t next_number() { return ++last_number_; }
  // Takes the messages that are there. Of all that were taken, those about neither this sandbox's
  // end nor its execs.
  const std::vector<sandbox::FromLauncher>& told();
  // Takes messages until the sandbox's own end.
  sandbox::EndedMessage wait_end();
  bool is_over() const { return end_.has_value(); }
  sandbox::EndedMessage kill();
  // Asks a (new) connection what lives; pipes of the execs that are listed go into `kept`.
  std::vector<sandbox::LiveExecMessage> list(std::map<std::uint32_t, ExecHandle>* kept = nullptr);

 private:
  void take_message();
  TestLauncher& launcher_;
  model::SandboxSpec spec_;
  std::uint32_t last_number_ = 0;
  bool listing_ = false;
  std::set<std::uint32_t> told_again_;              // whose ends may be, after a list
  std::map<std::uint32_t, sys::UniqueFd> started_;  // with the terminal, if there is one
  std::map<std::uint32_t, sandbox::ExecEndedMessage> ended_;
  std::map<std::uint32_t, std::pair<sandbox::LiveExecMessage, std::vector<sys::UniqueFd>>> live_;
  std::vector<sandbox::FromLauncher> told_;
  std::optional<sandbox::EndedMessage> end_;
};

}  // namespace tare::testing
