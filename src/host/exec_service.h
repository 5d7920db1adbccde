// ExecService: execs in live sandboxes. Starts them through the launcher, keeps their output and
// their records (exec_records.h), takes up after a restart what still lives, and starts the short
// ones that file operations are made of (sandbox_files.h), of which nothing is kept.
//
// Owner: main. Loop thread only. Errors: Errc::not_found for a run or an exec that is not there,
// conflict for one that is not live, exhausted beyond kMaxExecs of one sandbox, invalid naming the
// field. What never happens: an exec outlives its sandbox; an exec is started twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fiber/task_group.h"
#include "host/checkpoints.h"
#include "host/exec_records.h"
#include "host/live_exec.h"
#include "host/run_deps.h"
#include "host/run_service.h"
#include "sandbox/plan/codec.h"

namespace tare::host {

// Of both streams of one exec; the window before the end comes on top.
inline constexpr std::uint64_t kKeptExecBytes = std::uint64_t{16} << 20;
inline constexpr std::size_t kMaxExecs = 64;           // in one sandbox at once
inline constexpr std::size_t kMaxFileOperations = 16;  // likewise, beside them

// A transient exec: no record, no log.
struct TransientExec {
  std::shared_ptr<LiveRun> run;
  std::uint32_t sleeps = 0;  // which of its sandboxes
  InUse use;                 // as long as somebody waits for it
  Counted writing;           // of one that puts a file in place, until it has ended
  Counted changing;          // of one that changes files, until it has ended
  bool changes_files = false;
  fiber::Event changed;
  std::optional<model::Outcome> ended;
};

class ExecService final : public ExecEvents {
 public:
  ExecService(const RunDeps& deps, RunService& runs, Checkpoints& checkpoints,
              const fiber::Context& ctx);
  // Cancels the drivers and waits for them: nothing in any sandbox is ended by it.
  ~ExecService() override = default;

  // Sent when it returns; a run that is just being started is waited for.
  Result<std::shared_ptr<LiveExec>> create(const std::string& run, model::ExecRequest request,
                                           const fiber::Context& ctx);
  // The same for who changes the session's runner; all others wait until that is done. The limit
  // does not count: those that ran have been killed, and may not all be recorded yet.
  Result<std::shared_ptr<LiveExec>> create_while_changing(const std::string& run,
                                                          model::ExecRequest request,
                                                          const fiber::Context& ctx);
  // Until none is on its way: each has begun, or will not. Errc::timeout names one that is.
  Result<> settled(const std::string& run, const fiber::Context& ctx);
  // Until no file operation of it is under way.
  Result<> files_settled(const std::string& run, const fiber::Context& ctx);
  Result<model::Exec> get(const std::string& run, std::uint32_t number);
  Result<std::vector<model::Exec>> list(const std::string& run);
  std::shared_ptr<LiveExec> live(const std::string& run, std::uint32_t number) const;
  // Live, or Errc::conflict, or not_found.
  Result<std::shared_ptr<LiveExec>> need_live(const std::string& run, std::uint32_t number);
  Result<> signal(const std::string& run, std::uint32_t number, int signal,
                  const fiber::Context& ctx);
  Result<> resize(const std::string& run, std::uint32_t number, model::TerminalSize size);
  // Its stdin ends. A terminal's does not.
  Result<> close_stdin(LiveExec& live, const fiber::Context& ctx);
  // What an exec's log was kept in, live or not.
  Result<std::shared_ptr<OpenLog>> open_log(const std::string& run, std::uint32_t number);

  // `fds`: the program, its stdin read end, its stdout write end.
  struct Started {
    std::uint32_t number = 0;
    std::shared_ptr<TransientExec> exec;
  };
  Result<Started> start_transient(const std::string& run, const model::ExecSpec& spec,
                                  bool changes_files, const std::vector<int>& fds,
                                  const fiber::Context& ctx);
  // Nobody waits for it any more: it is killed, if it has not ended.
  void drop_transient(const std::string& run, std::uint32_t number);
  // The same of one that ends by itself: it is given a minute for it.
  void let_end_transient(const std::string& run, std::uint32_t number);

  void on_live_exec(const sandbox::LiveExecMessage& message,
                    std::vector<sys::UniqueFd> fds) override;
  void on_execs_listed() override;
  void on_exec_started(const sandbox::ExecStartedMessage& message, sys::UniqueFd terminal) override;
  void on_exec_ended(const sandbox::ExecEndedMessage& message) override;
  // All that was in it is gone; of the file operations among that nobody tells.
  void on_sandbox_ended(const std::string& run);

 private:
  using LivePtr = std::shared_ptr<LiveExec>;
  using Key = std::pair<std::string, std::uint32_t>;
  Result<std::shared_ptr<LiveRun>> live_run(const std::string& run, const fiber::Context& ctx);
  Result<std::vector<sandbox::Step>> steps_of(const LiveRun& run, model::ExecSpec spec) const;
  Result<sys::UniqueFd> plan_of(const LiveRun& run, const model::ExecSpec& spec) const;
  static runs::OutputLogOptions log_options(const model::ExecRequest& request);
  std::vector<std::uint32_t> living_numbers(const std::string& run) const;
  Result<std::uint32_t> next_number(const std::string& run);
  Result<> send(LiveExec& live, const fiber::Context& ctx);
  LivePtr taken_up(const std::shared_ptr<LiveRun>& run, model::Exec record);
  void end_those_never_told(const std::shared_ptr<LiveRun>& run);
  void drive(const LivePtr& live);
  void follow(LiveExec& live, const fiber::Context& ctx);
  void watch_sandbox(LiveExec& live, const fiber::Context& ctx);
  void pump(LiveExec& live, runs::Stream stream, int fd, runs::OutputLog::From from,
            const fiber::Context& ctx, const fiber::Context& until_over);
  void record_started(LiveExec& live);
  bool keep_end(LiveExec& live, const fiber::Context& ctx);
  model::Outcome outcome_of(const LiveExec& live) const;
  void record_end(LiveExec& live, const fiber::Context& ctx);
  void send_later(sandbox::ToLauncher message);
  static void count_change(LiveRun& run, Counted& changing);

  const RunDeps& deps_;
  RunService& runs_;
  Checkpoints& checkpoints_;
  ExecRecords records_;
  std::map<Key, LivePtr> table_;
  std::map<Key, std::shared_ptr<TransientExec>> transients_;
  std::map<std::string, std::uint32_t> last_numbers_;  // of runs that have had an exec
  std::uint32_t last_transient_ = 0;
  std::set<Key> listed_;      // by the launcher, since the connection was made
  fiber::TaskGroup drivers_;  // last: the fibers refer to the rest
};

}  // namespace tare::host
