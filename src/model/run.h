// A run: one durable piece of work. Its state changes only through advance(), a pure function; the
// store saves what it returns. Times are milliseconds since the Unix epoch, UTC.
//
//   queued --launching--> starting --started--> running --ended--> succeeded | failed | cancelled
//      \                     | ^                   |                    ^
//       \                    | +----launching---+  | hibernated         |
//        \                   +---hibernated---> hibernated              |
//         +------------------+---------------- ended ------------------+
//
// Only a session hibernates: it has no process and no memory then, and is launched again, as its
// next attempt, when somebody wants something of it.
//
// Structs have a default for every member, so that designated initialisers may name only some.
//
// What never happens: a run leaves a terminal state; a terminal state without an Outcome.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/limits.h"
#include "model/usage.h"

namespace tare::model {

enum class RunState : std::uint8_t {
  queued,
  starting,
  running,
  hibernated,
  succeeded,
  failed,
  cancelled
};

// Why a run ended. Kept as text in the store and shown to users; the table is in run.cpp.
enum class EndReason : std::uint8_t {
  exited,          // by itself, with an exit status
  signalled,       // by a signal it caused or sent itself
  timeout,         // wall time limit
  killed,          // somebody asked for it
  memory_limit,    // cgroup OOM
  output_limit,    // more output than allowed
  not_found,       // the program does not exist (127)
  not_executable,  // it exists and cannot be executed (126)
  setup_failed,    // the sandbox could not be made: step and errno are in the message
  launcher_lost,   // tare-launcher died; its sandboxes die with it
  daemon_error,    // our own fault
};

std::string_view to_string(RunState state);
std::string_view to_string(EndReason reason);
Result<RunState> run_state_from(std::string_view text);
Result<EndReason> end_reason_from(std::string_view text);
bool is_terminal(RunState state);

// How it ended.
struct Outcome {
  EndReason reason = EndReason::exited;
  int exit_code = 0;  // valid for `exited`
  int signal = 0;     // valid for `signalled`, `killed`, `memory_limit`, `timeout`: the signal that
                      // ended it
  std::string message = {};  // one line for a person: names the limit, the step, the program

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// What the shell would see: the exit code; 124 timeout; 126, 127; 137 killed or out of memory;
// 128+N; 125 for what is Tare's own failure (setup_failed, launcher_lost, daemon_error).
int exit_status_of(const Outcome& outcome);

// An input file: a name below /input and the content (a blob, see runs/blobs.h).
struct InputFile {
  std::string name = {};
  std::string digest = {};  // "sha256:<64 hex>"
  std::uint64_t size = 0;

  friend bool operator==(const InputFile&, const InputFile&) = default;
};

// What a session has changed, as layers above those of its request: of when it last hibernated, or
// of the session it was forked from. The two have no path in common but folders.
struct OwnLayers {
  std::vector<std::string> root = {};     // what a freeze would keep; lowest first
  std::vector<std::string> scratch = {};  // /tmp, /var/tmp, /output: no part of any environment

  bool empty() const { return root.empty() && scratch.empty(); }
  friend bool operator==(const OwnLayers&, const OwnLayers&) = default;
};

// What an awake session would wake with if its sandbox was lost.
struct Checkpoint {
  std::uint64_t at_ms = 0;  // what was done by then is in the last one; 0 = there was none
  // Layers instead of Run::own. None since it last woke: then it would wake with those again.
  std::optional<OwnLayers> own = {};
  std::string fault = {};  // why no newer one could be made; "" when one could
  // Layers of those before it, to be removed if nobody else needs them. May be gone already.
  std::vector<std::string> replaced = {};

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// What happens to a session of which nothing was wanted for its idle timeout.
enum class OnIdle : std::uint8_t { hibernate, kill };
std::string_view to_string(OnIdle on_idle);
Result<OnIdle> on_idle_from(std::string_view text);

// What is asked for: all that is needed to make the sandbox again. Immutable once the run exists.
struct RunRequest {
  std::string agent = {};               // name of the agent, "" for an ad-hoc run
  std::uint32_t version = 0;            // its version, 0 for an ad-hoc run
  std::string environment = {};         // "host" or an environment's name or digest as asked for
  std::string environment_digest = {};  // what it was resolved to; "" for host (unreproducible)
  // Of one that has more than one: its layers, lowest first. Else the digest is the layer.
  std::vector<std::string> environment_layers = {};
  std::string files_digest = {};  // layer with the agent's own files, "" for none
  // What it was resolved to (model/runner.h): "python@1.2", and its layer. "" for none.
  std::string runner = {};
  std::string runner_digest = {};
  std::vector<std::string> argv = {};
  std::vector<std::string> env = {};  // "NAME=value"
  std::string user = "agent";         // or "root", or an image's "UID:GID"
  std::string cwd = {};               // absolute; "" for /home/agent
  std::string profile = "default";    // "strict", "default" or "build"
  std::vector<InputFile> inputs = {};
  Limits limits = {};
  // No program: the sandbox lives, and takes execs (model/exec.h), until it is killed. argv is
  // empty then.
  bool session = false;
  std::uint64_t idle_timeout_ms = 0;  // of a session; 0 = never
  OnIdle on_idle = OnIdle::hibernate;
  // Of a session: how often it is checkpointed by itself, 0 = never; and whether what changes its
  // files is answered only when a checkpoint holds it.
  std::uint64_t checkpoint_interval_ms = 0;
  bool durable = false;
  std::string forked_from = {};  // id of the session it began as a copy of, or ""
  // Of a run that Tare makes of a command of its own: the command, "env pull alpine:3 --name
  // alpine".
  std::string about = {};
  bool with_stdin = false;
  bool attach = false;  // a client follows live: output beyond the kept log waits for it
  std::string idempotency_key = {};  // "" for none

  friend bool operator==(const RunRequest&, const RunRequest&) = default;
};

struct Run {
  std::string tenant = {};
  std::string id = {};  // sortable by time, see base/ids.h
  RunRequest request = {};
  RunState state = RunState::queued;
  std::uint64_t created_ms = 0;
  std::uint64_t started_ms = 0;  // 0 = not yet
  std::uint64_t ended_ms = 0;
  std::uint32_t attempt = 0;  // fence: counts from 1 at the first launch
  std::optional<Outcome> outcome = {};
  Usage usage = {};      // of all attempts that have ended
  bool log_cut = false;  // more output than the kept log holds
  OwnLayers own = {};
  Checkpoint checkpoint = {};

  friend bool operator==(const Run&, const Run&) = default;
};

// What can happen to a run.
enum class RunEventType : std::uint8_t {
  created,
  launching,
  started,
  kill_requested,
  reattached,
  denied,             // a system call was refused
  hibernated,         // what it has changed is kept; its sandbox goes
  slept,              // that sandbox is gone
  checkpointed,       // what it has changed is kept; it goes on
  checkpoint_failed,  // could not be kept
  ended
};
std::string_view to_string(RunEventType type);
Result<RunEventType> run_event_type_from(std::string_view text);

struct RunEvent {
  std::uint64_t sequence = 0;  // counts from 1 within a run
  std::uint64_t at_ms = 0;
  RunEventType type = RunEventType::created;
  std::string message = {};

  // Only for `launching`: which tare-launcher process is told next, by its instance number.
  std::string launcher = {};

  // Only for `denied`: the name of the call, and how often it was refused so far. Told the first
  // time, and when it ends, if there were more.
  std::string call = {};
  std::uint64_t count = 0;

  // Only for `hibernated` and `checkpointed`: all that it has changed since it was made.
  OwnLayers own = {};
  std::vector<std::string> replaced = {};  // only for `checkpointed`: as in Checkpoint

  // Only for `ended`.
  std::optional<Outcome> outcome = {};
  Usage usage = {};  // of this attempt; also for `slept`
  bool log_cut = false;

  friend bool operator==(const RunEvent&, const RunEvent&) = default;
};

// The run after the event, or a refusal (Errc::conflict) when the event cannot happen in its state.
// Pure: the time is in the event.
Result<Run> advance(Run run, const RunEvent& event);

// Of checkpoints that follow one another only the last is kept as an event: there may be any
// number.
constexpr bool replaces_its_like(RunEventType type) {
  return type == RunEventType::checkpointed || type == RunEventType::checkpoint_failed;
}

// The layers of `before` that are not in `now`. The oldest are left to `env gc` beyond the maximum.
inline constexpr std::ptrdiff_t kMaxReplacedLayers = 256;
void add_replaced(std::vector<std::string>& replaced, const OwnLayers& before,
                  const OwnLayers& now);

// The layers that a session would wake with if its sandbox was lost now.
inline const OwnLayers& wakes_with(const Run& run) {
  return run.checkpoint.own ? *run.checkpoint.own : run.own;
}

// Of the sandbox that it has, or of the next one when it has none.
constexpr std::uint32_t attempt_of(const Run& run) {
  const bool none = run.state == RunState::queued || run.state == RunState::hibernated;
  return run.attempt + (none ? 1 : 0);
}

}  // namespace tare::model
