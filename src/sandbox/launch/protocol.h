// What tared and tare-launcher say to each other over $TARE_HOME/run/launcher.sock
// (SOCK_SEQPACKET): one message per packet, base/wire.h encoding, descriptors beside it in the
// order given here. The launcher answers nobody but root and the daemon's user (SO_PEERCRED), and
// believes neither: every field is checked.
//
//   tared                                launcher
//   hello            ----------------->
//                    <-----------------  welcome            (versions must be equal, else it
//                    closes)
//   list             ----------------->
//                    <-----------------  live, denied, ... live, ... listed, and `ended` again for
//                    each not yet released
//   launch + fds     ----------------->
//                    <-----------------  started            (the program runs)
//                    <-----------------  denied             (a system call was refused, so often)
//   kill, close_stdin ---------------->
//                    <-----------------  ended + output fd  (all processes are gone, usage is
//                    final)
//   release          ----------------->                     (scratch space and files are dropped)
//   ask_pool         ----------------->
//                    <-----------------  pool               (counters)
//
//   stop             ----------------->                     (a live sandbox: its processes stand
//                    still)
//                    <-----------------  stopped + 2 fds
//   go_on            ----------------->                     (also when this connection ends)
//   prepare + plan   ----------------->                     (launches of this kind will come)
//                    <-----------------  prepared           (one waits, or none will)
//   swap             ----------------->                     (a live sandbox: another runner)
//                    <-----------------  swapped
//
// Execs in live sandboxes: exec_messages.h.
//
// A sandbox that could not be made is `ended` without `started`. Only one tared is served at a
// time: the newest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "model/usage.h"
#include "sandbox/launch/base.h"
#include "sandbox/launch/exec_messages.h"
#include "sandbox/seccomp/denied.h"

namespace tare::sandbox {

inline constexpr std::uint32_t kLauncherProtocol = 14;

// --- to the launcher ---

struct HelloMessage {
  std::uint32_t protocol = kLauncherProtocol;
};
struct ListMessage {};
// Descriptors: base plan and run's plan (sealed memfds), the gate, stdout read end, stdout write
// end, stderr read end, stderr write end, [stdin read end, stdin write end] if with_stdin, [report
// read end, report write end] if with_report. The
// input is the folder $TARE_HOME/runs/<id>/input: by name and not by descriptor, because a mount
// can only be copied from the mount namespace that it is in.
//
// The gate is the read end of a pipe: the program is executed when a byte comes. So a launch can be
// sent while the run's record is still on its way to the disk. A gate that closes without a byte
// (its tared died, or gave the run up) makes the launch one that never was: `ended` with
// never_began, once, and the launcher forgets it.
struct LaunchMessage {
  std::string id;
  SandboxBase base;
  bool with_stdin = false;
  bool with_input = false;
  bool with_report = false;  // the program has a pipe to report to

  std::size_t first_of_report() const { return 7 + (with_stdin ? 2U : 0U); }
  std::size_t descriptors() const { return first_of_report() + (with_report ? 2U : 0U); }
};
struct KillMessage {
  std::string id;
  model::EndReason reason = model::EndReason::killed;  // killed or output_limit
};
struct CloseStdinMessage {
  std::string id;
};
struct ReleaseMessage {
  std::string id;
};
struct AskPoolMessage {};
// For a freeze of what it has changed. Time goes on for its limits; a kill reaches it. One that has
// ended, and is not released, is read all the same.
struct StopMessage {
  std::string id;
};
struct GoOnMessage {
  std::string id;
};
// Descriptor: the base plan. Sandboxes of the kind are made ahead of time, as if one had just been
// launched. Answered when one waits, which may take as long as the making of one, or longer in a
// pool that is full.
struct PrepareMessage {
  std::uint64_t number = 0;  // comes back in the answer
  SandboxBase base;
};
// Another runner's layer takes the place of the one that it has; all its processes but tare-init
// are killed while it stands still.
struct SwapMessage {
  std::string id;
  std::string runner;                 // digest
  std::vector<std::string> own = {};  // digests of the layers that it has made in former lives
};
using ToLauncher = std::variant<HelloMessage, ListMessage, LaunchMessage, KillMessage,
                                CloseStdinMessage, ReleaseMessage, AskPoolMessage, ExecMessage,
                                ExecSignalMessage, ExecCloseStdinMessage, ExecReleaseMessage,
                                StopMessage, GoOnMessage, PrepareMessage, SwapMessage>;

// --- from the launcher ---

// Of another protocol only `protocol` is read: the rest may have another form.
struct WelcomeMessage {
  std::uint32_t protocol = kLauncherProtocol;
  std::uint32_t pid = 0;
  std::string cgroup_mode;
  std::string version = {};  // of the launcher's release
  // Drawn at its start: the same number is the same process, and so the same sandboxes.
  std::uint64_t instance = 0;
};
// Descriptors: stdout read end, stderr read end, [stdin write end], [report read end].
struct LiveMessage {
  std::string id;
  bool started = false;
  bool with_stdin = false;
  bool with_report = false;

  std::size_t descriptors() const { return 2 + (with_stdin ? 1U : 0U) + (with_report ? 1U : 0U); }
};
struct ListedMessage {};
struct StartedMessage {
  std::string id;
  // Launch message read -> just before exec; without the time that was spent at the gate.
  std::uint64_t start_us = 0;
  std::uint64_t gate_us = 0;
  bool warm = false;  // from the pool; false: made for this run
};
// The count of one refused call so far: at the first, then each time it has doubled, and the last
// before `ended`, unless the sandbox was killed.
struct DeniedMessage {
  std::string id;
  DeniedCall call;
  std::uint64_t count = 0;
};
// Counters since the launcher's start (idle and making: now).
struct PoolMessage {
  std::uint64_t hits = 0, misses = 0;  // launches that found a sandbox waiting, or did not
  std::uint64_t idle = 0, making = 0;  // sandboxes that wait; that are being made
  std::uint64_t made = 0, failed = 0;  // ahead of time
  std::uint64_t dropped = 0;           // ended without having been claimed
  std::uint64_t moved = 0;  // into all their cgroups: born in none, for want of a unified one

  std::array<std::uint64_t, 8> numbers() const {
    return {hits, misses, idle, making, made, failed, dropped, moved};
  }
};
// Descriptors: the output folder, when there is one.
struct EndedMessage {
  std::string id;
  model::Outcome outcome;
  model::Usage usage;
  std::uint32_t failed_step = 0;  // of a plan, from 1; for setup_failed by tare-init
  bool in_base = false;           // of the base plan
  bool never_began = false;       // the gate closed; nothing is kept of it, and no release expected
  std::uint32_t uid_base = 0;  // host id of 0 inside: how the files of the output folder are owned
  bool with_output = false;
};
// The answer to `stop`. Descriptors when `error` is empty: the upper of its overlay, and a file
// with the paths of its opaque folders (make/upper.h); `with_base`: and the tree that its layers
// lie on, which is none (rootfs/skeleton.h). After an error it goes on.
struct StoppedMessage {
  std::string id;
  std::string error;
  std::uint32_t uid_base = 0;  // as in EndedMessage
  bool with_base = false;
  std::uint32_t processes = 0;  // that stand still, tare-init among them; 0 for one that has ended
};
// After an error without `touched` nothing has happened, and it goes on as it was; after one with
// it the sandbox is being ended.
struct SwappedMessage {
  std::string id;
  std::string error;
  bool touched = false;
  // After a success: the sandbox and `own` have changed nothing of its environment (make/upper.h).
  bool as_made = false;
};
// The answer to `prepare`.
struct PreparedMessage {
  std::uint64_t number = 0;
  bool ready = false;  // false: none of the kind can wait, or the one that was made failed
};
using FromLauncher = std::variant<WelcomeMessage, LiveMessage, ListedMessage, StartedMessage,
                                  PoolMessage, EndedMessage, DeniedMessage, LiveExecMessage,
                                  ExecStartedMessage, ExecEndedMessage, StoppedMessage,
                                  SwappedMessage, PreparedMessage>;

Result<std::string> encode(const ToLauncher& message);
Result<std::string> encode(const FromLauncher& message);
// `fds`: how many descriptors came with it; a wrong number is refused.
Result<ToLauncher> decode_to_launcher(std::string_view bytes, std::size_t fds);
Result<FromLauncher> decode_from_launcher(std::string_view bytes, std::size_t fds);

}  // namespace tare::sandbox
