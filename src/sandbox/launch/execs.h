// The execs of one live sandbox, as the launcher holds them: tells tare-init of them, judges what
// it answers (hostile input), and keeps the ends of their pipes, or their terminals, that must
// survive a restart of tared.
//
//   start() -> exec_started -> exec_ended -> release()
//      \______ exec_failed ______^
//
// Owner: Sandbox. Single thread, never waits. What never happens: a report that is out of order, of
// an unknown number, or with a descriptor that is not a terminal's master, is taken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/launch/exec_messages.h"
#include "sandbox/launch/report.h"
#include "sys/fd.h"

namespace tare::sandbox {

// What a report comes to, for tared: one of the two.
struct ExecTold {
  std::optional<ExecStartedMessage> started;
  int terminal = -1;  // beside it; borrowed until the next call
  std::optional<ExecEndedMessage> ended;
};

class Execs {
 public:
  bool knows(std::uint32_t number) const { return execs_.contains(number); }
  // `fds` as in ExecMessage. `control`: the socket to tare-init; `null`: /dev/null. An error is the
  // exec's end: nothing of it is kept.
  Result<> start(int control, int null, const ExecMessage& message, std::vector<sys::UniqueFd> fds,
                 std::uint64_t now_us);
  // Those that have ended, or are not known, are passed over.
  void signal(int control, const ExecSignalMessage& message);
  void close_stdin(std::uint32_t number);
  void release(std::uint32_t number);
  // nullopt: not to be believed.
  std::optional<ExecTold> on_report(const std::string& run, const Report& report,
                                    std::vector<sys::UniqueFd> fds, std::uint64_t now_us);

  // For tared after its restart. Transient ones are nobody's any more, and not among them.
  struct Listed {
    LiveExecMessage message;
    std::vector<int> fds;
    const ExecEndedMessage* ended = nullptr;  // when it has
  };
  std::vector<Listed> list(const std::string& run) const;
  // The sandbox has ended, and they with it.
  void clear() { execs_.clear(); }

 private:
  struct Exec {
    ExecMessage message;
    std::uint64_t received_us = 0;
    bool started = false;
    sys::UniqueFd stdout_read, stderr_read, stdin_write, terminal;
    std::optional<ExecEndedMessage> ended;
  };
  std::optional<ExecTold> on_started(Exec& exec, const Report& report,
                                     std::vector<sys::UniqueFd> fds, std::uint64_t now_us);
  ExecTold end(std::uint32_t number, ExecEndedMessage message);

  std::map<std::uint32_t, Exec> execs_;
};

}  // namespace tare::sandbox
