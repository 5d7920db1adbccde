// Starting a program of ours that may outlive us, and a process that is not our child by
// descriptor. Unlike Child (process.h) nothing is killed when the owner goes away. The new process
// has no descriptor but 0, 1 and 2, no blocked signals and default actions for all of them.
// Sources: posix_spawn(3), pidfd_open(2), pidfd_send_signal(2), waitid(2) P_PIDFD.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"
#include "sys/process.h"

namespace tare::sys {

// The destructor only closes the descriptor.
class [[nodiscard]] Process {
 public:
  static Result<Process> open(pid_t pid);  // Errc::not_found when there is none

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable when the process has ended
  Result<> signal(int number) const;
  bool ended() const;
  // Waits for the end and takes the exit status; only for a child of ours.
  Result<ExitStatus> reap();

 private:
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_ = 0;
  UniqueFd pidfd_;
};

struct SpawnOptions {
  std::string program;            // path of the executable
  std::vector<std::string> argv;  // with argv[0]
  std::vector<std::string> env;   // "NAME=value", complete
  std::string cwd = "/";
  int in = -1, out = -1, err = -1;  // -1: /dev/null
  bool new_session = false;         // setsid: no terminal signal reaches it
};
Result<Process> spawn(const SpawnOptions& options);

}  // namespace tare::sys
