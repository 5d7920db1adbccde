// The execs of a live sandbox: programs that tare-init starts beside the run's own, or for a
// session, which has none. A bounded table; nothing in it ever waits: what a child has to say is
// heard when poll(2) says so.
//
// Each exec that was asked for is answered by exec_failed, or by exec_started and later exec_ended.
#pragma once

#include <sys/types.h>

#include "sandbox/init/denied.h"
#include "sandbox/init/waits.h"
#include "sandbox/launch/report.h"

namespace tare::sandbox::init {

class Execs {
 public:
  // Channels and listeners go into `waits`; what a listener hands over is `denied`'s.
  Execs(Waits& waits, DeniedCalls& denied) : waits_(waits), denied_(denied) {}

  // `fds` as receive_command gave them; all are closed.
  void command(const Command& command, const int* fds);
  // A zombie was taken: reports it if it was an exec's.
  void reaped(pid_t pid, int status);

 private:
  struct Exec {
    pid_t pid = 0;  // 0: free
    std::uint32_t number = 0;
    int channel = -1;  // until it has executed
    int terminal = -1;
    bool starting = false;
    bool dead = false;  // and not all is heard yet
    int status = 0;     // of waitpid, when dead
    std::uint64_t at_ns = 0;
  };

  void start(const Command& command, const int* fds);
  void signal(std::uint32_t number, int signal);
  // False: no more will be said on its channel, which is closed.
  bool hear(Exec& exec);
  void started(Exec& exec);
  static void ended(Exec& exec);
  void answer_for(int listener);
  static bool on_channel(void* who, int channel, short events);
  Exec* find(std::uint32_t number);
  static void failed(std::uint32_t number, std::uint32_t step, int error, bool executing);

  Waits& waits_;
  DeniedCalls& denied_;
  Exec execs_[kMostExecs];
};

}  // namespace tare::sandbox::init
