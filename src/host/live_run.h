// LiveRun: a run that has not ended, as tared holds it: the record, what the launcher has said
// about it, what was asked of it, and its ends of the pipes. Shared by the run's driver and the
// requests that look at it.
//
// Owner: RunService's table; requests may hold it longer. Loop thread only. `changed` is notified
// after every change of a member. What never happens: `run` shows something that is not durable
// (but for `started`).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/result.h"
#include "fiber/event.h"
#include "fiber/timer.h"
#include "host/layer_gate.h"
#include "host/run_logs.h"
#include "host/spec.h"
#include "model/environment.h"
#include "model/run.h"
#include "model/session_runner.h"
#include "runs/report_log.h"
#include "sandbox/launch/protocol.h"
#include "snapshot/protocol.h"
#include "sys/fd.h"

namespace tare::host {

// Writes what a program of ours gets on its stdin, which does not block, and closes it.
using StdinFeed = std::function<Result<>(sys::UniqueFd pipe, const fiber::Context& ctx)>;

// Of the checkpoints of a session (checkpoints.h). Who wants one takes a ticket; one checkpoint
// answers all tickets that were taken before the sandbox stood still for it.
struct Checkpointing {
  std::uint64_t asked = 0;  // the last ticket
  std::uint64_t kept = 0;   // up to this one: a checkpoint, or a hibernation, holds it
  std::uint64_t tried = 0;  // up to this one: answered; what is not kept could not be
  Error failure = {};       // of the last that could not
  bool at_work = false;     // a fiber makes them
  // What may have changed its files and has ended, counted; how much of it was kept; processes that
  // live in the background as of then. After a restart nobody knows.
  std::uint64_t changes = 1, kept_changes = 0;
  bool has_background = false;
  fiber::Clock::time_point last = fiber::Clock::now();  // made, or tried
  // The last sandbox, by its attempt, of which all was kept when it went.
  std::uint32_t whole_attempt = 0;
  // Of model::Checkpoint::replaced: those that were seen to.
  std::set<std::string> tidied;
};

struct LiveRun {
  model::Run run;  // as recorded
  Purpose purpose = Purpose::run;
  fiber::Event changed;

  // Is the run, or its `launching`, on the disk? Nothing that its program does is seen outside
  // before.
  enum class Recorded : std::uint8_t { pending, done, failed };
  Recorded recorded = Recorded::pending;
  // Its row is written, if perhaps not on the disk yet: nobody else has its key.
  bool admitted = false;
  bool driven = false;        // a fiber drives it
  bool launched = false;      // the launcher was told, by us or by the tared before us
  bool reattached = false;    // by the tared before us
  std::string launcher = {};  // of such a run: which launcher process was to be told

  // What the launcher said.
  struct End {
    sandbox::EndedMessage message;
    sys::UniqueFd output;
  };
  std::optional<sandbox::StartedMessage> started;
  // Refused calls, by name: how often so far, and what of it is in an event.
  struct Denied {
    std::uint64_t count = 0, recorded = 0;
  };
  std::map<std::string, Denied> denied;
  std::optional<End> ended;
  std::optional<std::string> lost;  // no more will come, and why
  bool output_taken = false;        // it has ended, and all that it said is in the log

  // Of a session that hibernates: it is being frozen, or its sandbox (of an earlier tared) is still
  // there; why it could not be woken the last time; how many sandboxes it has had that are gone.
  bool falling_asleep = false, leaving = false;
  // Its time was over while it slept: it is being ended; how often that failed, and when next.
  bool ending_by_age = false;
  std::uint32_t age_tries = 0;
  fiber::Clock::time_point age_next = {};
  std::string wake_fault;
  std::uint32_t sleeps = 0;
  // For its idle timeout: how many use it, and since when nobody does.
  std::uint32_t uses = 0;
  fiber::Clock::time_point used_at = fiber::Clock::now();
  // Files that are just being put in place in its sandbox; how many have it stand still or are
  // about to; how many make layers of it that are not recorded yet: one at a time.
  std::uint32_t writes = 0, standing = 0, keeping = 0;
  std::uint32_t changing = 0;  // execs, and operations on its files that change some, under way
  Checkpointing checkpointing;
  // Of a session whose runner was changed, or is just being: what it has instead of the one in its
  // request.
  std::optional<model::SessionRunner> runner;
  bool getting_runner = false;  // somebody has begun to: one at a time
  bool swapping = false;        // ... and has come to where nothing else may be done in it
  // Its sandbox is not to be trusted any more, and goes. It hibernates then, when it can.
  bool discarded = false;
  // Until it can: why what it has written could not be kept the last time, and since when it
  // cannot. `held`: that is told to whoever wants something of it (held_session.h).
  std::optional<Error> unkept;
  fiber::Clock::time_point unkept_since = {};
  bool held = false;

  // What was asked, or went wrong on our side.
  bool kill_wanted = false;
  std::string kill_why;  // "" when somebody asked for it
  bool output_limit_hit = false;
  std::optional<Error> fault;

  std::shared_ptr<OpenLog> log;  // null until the run's folder is made
  sys::UniqueFd stdout_read, stderr_read;
  sys::UniqueFd stdin_write;
  std::unique_ptr<runs::ReportLog> report;  // null without a runner, and until the folder is made
  sys::UniqueFd report_read;
  bool stdin_taken = false;  // one request may feed it
  std::string note;          // told with the end: what else went wrong
  void add_note(std::string_view text) {
    if (!note.empty()) note += "; ";
    note += text;
  }

  // Of a build: the environment it makes, and the layer once the store has it. No unused layer is
  // removed from before the store begins until the record of what it made is there.
  std::optional<model::Environment> image;
  LayerGate::Scope publishing;
  snapshot::LayerInfo imported;  // of an image: the highest
  std::optional<snapshot::ImageImported> imported_image = {};
  // Of one whose stdout is an image's archive: how it is stored. Not set: a plain tar.
  std::optional<snapshot::ImportImage> archive;
  StdinFeed feed;  // of a build with stdin
  // Not empty: what it was given by the tared that began it is gone with that one, and why it ends.
  std::string orphaned;
  // Of one that was reattached: when its sandbox was ordered.
  std::uint64_t launched_ms = 0;

  // After a change that those who wait for output or room in the log must know of, too.
  void notify() {
    changed.notify_all();
    if (log) log->changed.notify_all();
  }
  // Its runner was being exchanged: what is in its sandbox is not known.
  bool is_half_changed() const { return runner && !runner->confirmed; }
  bool ended_durably() const { return model::is_terminal(run.state); }
  // Its sandbox is gone or about to go, and it will not have another one.
  bool is_over() const { return ended || lost || kill_wanted || ended_durably(); }
  // Its sandbox stays as it was discarded, with all that it has written, and nothing runs in it.
  bool is_held() const {
    return held && !kill_wanted && !lost && !hibernates() && !ended_durably();
  }
  // Since the last checkpoint. What is under way may have changed something at any moment, and is
  // answered, or says so, before its end is told.
  bool may_have_changed() const {
    return changing > 0 || checkpointing.has_background ||
           checkpointing.changes != checkpointing.kept_changes;
  }
  bool hibernates() const { return run.state == model::RunState::hibernated; }
  // It goes to sleep, or sleeps and its sandbox is not gone yet.
  bool is_going() const {
    return falling_asleep || leaving || (discarded && !ended_durably()) ||
           (hibernates() && launched);
  }
};

// Something that is done in a session: it is not idle meanwhile. Holds it.
class [[nodiscard]] InUse {
 public:
  InUse() = default;
  explicit InUse(std::shared_ptr<LiveRun> live) : live_(std::move(live)) { ++live_->uses; }
  InUse(InUse&& other) noexcept : live_(std::move(other.live_)) {}
  InUse& operator=(InUse&& other) noexcept {
    std::swap(live_, other.live_);
    return *this;
  }
  ~InUse() {
    if (!live_) return;
    --live_->uses;
    live_->used_at = fiber::Clock::now();
  }

 private:
  std::shared_ptr<LiveRun> live_;
};

// One more of something in a run that must be alive for as long as this is: LiveRun::writes and the
// like.
class [[nodiscard]] Counted {
 public:
  using Count = std::uint32_t LiveRun::*;
  Counted() = default;
  Counted(LiveRun& live, Count count) : live_(&live), count_(count) { ++(live.*count); }
  Counted(Counted&& other) noexcept
      : live_(std::exchange(other.live_, nullptr)), count_(other.count_) {}
  Counted& operator=(Counted&& other) noexcept {
    std::swap(live_, other.live_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~Counted() {
    if (live_ == nullptr) return;
    --(live_->*count_);
    live_->changed.notify_all();
  }

 private:
  LiveRun* live_ = nullptr;
  Count count_ = nullptr;
};

}  // namespace tare::host
