// A live session on a TestLauncher, and execs in it, as tared would ask for them, but blocking.
//
// Process: the test's. The launcher must outlive it; one session at a time reads its messages.
#pragma once

#include <map>
#include <optional>
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
  ExecHandle start(const model::ExecSpec& exec, bool with_stdin = false);
  // Writes `input` and closes stdin, reads both streams to their ends, and waits for the end.
  ExecResult finish(ExecHandle exec, const std::string& input = "");
  ExecResult run(const model::ExecSpec& exec, const std::string& input = "");
  ExecResult sh(const std::string& script) { return run(shell_exec(script)); }
  // Waits until it has executed; its terminal, if it has one. nullopt: it ended without.
  std::optional<sys::UniqueFd> started(std::uint32_t number);
  sandbox::ExecEndedMessage ended(std::uint32_t number);
  void signal(std::uint32_t number, int signal);
  void release(std::uint32_t number);
  // `fds` as in ExecMessage, but for the plan.
  void send(const sandbox::ExecMessage& message, const model::ExecSpec& exec,
            const std::vector<int>& fds);
  std::uint32_t next_number() { return ++last_number_; }
  // Takes messages until the sandbox's own end.
  sandbox::EndedMessage wait_end();
  sandbox::EndedMessage kill();
  // Asks a (new) connection what lives; pipes of the execs that are listed go into `kept`.
  std::vector<sandbox::LiveExecMessage> list(std::map<std::uint32_t, ExecHandle>* kept = nullptr);

 private:
  void take_message();
  TestLauncher& launcher_;
  model::SandboxSpec spec_;
  std::uint32_t last_number_ = 0;
  bool listed_ = false;
  std::map<std::uint32_t, sys::UniqueFd> started_;  // with the terminal, if there is one
  std::map<std::uint32_t, sandbox::ExecEndedMessage> ended_;
  std::map<std::uint32_t, std::pair<sandbox::LiveExecMessage, std::vector<sys::UniqueFd>>> live_;
  std::optional<sandbox::EndedMessage> end_;
};

}  // namespace tare::testing
