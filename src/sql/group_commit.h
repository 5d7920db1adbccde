// A database with a thread of its own. Operations queued while the disk is busy with one commit
// share the next: one fsync for many. Each operation runs in its own savepoint, so that one that is
// refused undoes only itself.
//
// Owner: the program (tared). Threads: submit() and run() from any thread; operations and `done`
// run on the committer's thread. `done` must not block and must not call run(). Errors: an
// operation's own; else the commit's; Errc::exhausted when the queue is full. What never happens:
// `done` gets a success before the commit is durable; an accepted operation gets no answer (the
// destructor finishes the queue first).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "sql/database.h"

namespace tare::sql {

class GroupCommitter {
 public:
  struct Options {
    std::size_t max_queued = 16'384;  // operations waiting; more are refused
    std::size_t max_batch = 512;      // operations in one commit
    std::uint64_t soon_ms = 20;       // how long one that was submitted with submit_soon() may wait
  };

  // From here on `database` belongs to this thread; it must outlive the committer.
  GroupCommitter(Database& database, Options options);
  GroupCommitter(const GroupCommitter&) = delete;
  GroupCommitter& operator=(const GroupCommitter&) = delete;
  ~GroupCommitter();

  // `operation` is called without arguments and answers Result<T>; `done` gets that Result<T> when
  // it is durable.
  template <class Operation, class Done>
  void submit(Operation operation, Done done) {
    using Job = TypedJob<Operation, Done>;
    enqueue(std::make_unique<Job>(std::move(operation), std::move(done)));
  }

  // The same, for what nobody waits for: it shares the commit of the next operation that somebody
  // does wait for, when one comes within soon_ms. The order stays that of the submissions.
  template <class Operation, class Done>
  void submit_soon(Operation operation, Done done) {
    using Job = TypedJob<Operation, Done>;
    enqueue(std::make_unique<Job>(std::move(operation), std::move(done)), true);
  }

  // The same, waiting for the answer. For threads that may block: never the event loop, never
  // `done`.
  template <class Operation>
  std::invoke_result_t<Operation&> run(Operation operation) {
    std::promise<std::invoke_result_t<Operation&>> promise;
    auto answer = promise.get_future();
    submit(std::move(operation), [&promise](auto result) { promise.set_value(std::move(result)); });
    return answer.get();
  }

  std::uint64_t commits() const { return commits_; }        // transactions committed so far
  std::uint64_t operations() const { return operations_; }  // operations answered so far

 private:
  class JobBase {
   public:
    virtual ~JobBase() = default;
    virtual bool execute() = 0;                 // false: refused, undo it
    virtual void fail(const Error& error) = 0;  // replaces a success, never an earlier error
    virtual void complete() = 0;
  };

  template <class Operation, class Done>
  class TypedJob final : public JobBase {
   public:
    TypedJob(Operation operation, Done done)
        : operation_(std::move(operation)), done_(std::move(done)) {}
    bool execute() override {
      result_.emplace(operation_());
      return result_->ok();
    }
    void fail(const Error& error) override {
      if (!result_ || result_->ok()) result_.emplace(error);
    }
    void complete() override { done_(std::move(*result_)); }

   private:
    Operation operation_;
    Done done_;
    std::optional<std::invoke_result_t<Operation&>> result_;
  };

  using Batch = std::vector<std::unique_ptr<JobBase>>;

  void enqueue(std::unique_ptr<JobBase> job, bool soon = false);
  void serve();
  Batch next_batch();  // empty: stop
  void commit(Batch& batch);
  Result<> execute_all(Batch& batch);

  Database& database_;
  const Options options_;
  const RealClock clock_;
  std::atomic<std::uint64_t> commits_{0}, operations_{0};
  std::mutex mutex_;  // guards what is below
  std::deque<std::unique_ptr<JobBase>> queue_;
  bool stopping_ = false;
  bool waited_for_ = false;   // somebody waits for an operation of the queue
  std::uint64_t due_us_ = 0;  // when the first of the queue is to be committed at the latest
  std::condition_variable wake_;
  std::thread thread_;  // last: everything above is there when it starts
};

}  // namespace tare::sql
