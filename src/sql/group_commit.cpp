#include "sql/group_commit.h"

#include <chrono>
#include <csignal>

#include <pthread.h>

namespace tare::sql {

GroupCommitter::GroupCommitter(Database& database, Options options)
    : database_(database), options_(options) {
  CHECK(options.max_batch > 0);
  // Signals belong to the program's main thread: a new thread inherits the mask, so block them
  // around its start.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { serve(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

GroupCommitter::~GroupCommitter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void GroupCommitter::enqueue(std::unique_ptr<JobBase> job, bool soon) {
  {
    const std::lock_guard lock(mutex_);
    CHECK(!stopping_);
    if (queue_.size() < options_.max_queued) {
      if (queue_.empty()) due_us_ = clock_.monotonic_us() + options_.soon_ms * 1000;
      queue_.push_back(std::move(job));
      waited_for_ = waited_for_ || !soon;
    }
  }
  if (job == nullptr) {
    wake_.notify_one();
    return;
  }
  job->fail(Error{Errc::exhausted, "too many database operations are waiting; try again later"});
  job->complete();
}

void GroupCommitter::serve() {
  pthread_setname_np(pthread_self(), "tare-sql");
  while (true) {
    Batch batch = next_batch();
    if (batch.empty()) return;
    commit(batch);
    operations_ += batch.size();
    for (const auto& job : batch) job->complete();
  }
}

GroupCommitter::Batch GroupCommitter::next_batch() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  while (!stopping_ && !waited_for_) {
    const std::uint64_t now_us = clock_.monotonic_us();
    if (now_us >= due_us_) break;
    wake_.wait_for(lock, std::chrono::microseconds(due_us_ - now_us));
  }
  Batch batch;
  while (!queue_.empty() && batch.size() < options_.max_batch) {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  if (queue_.empty()) waited_for_ = false;
  return batch;
}

void GroupCommitter::commit(Batch& batch) {
  const Result<> committed = execute_all(batch);
  if (committed) {
    ++commits_;
    return;
  }
  for (const auto& job : batch) job->fail(committed.error());
}

Result<> GroupCommitter::execute_all(Batch& batch) {
  auto group = TRY(Transaction::begin(database_));
  for (const auto& job : batch) {
    auto single = Transaction::begin(database_);
    if (!single) {
      job->fail(single.error());
      continue;
    }
    if (!job->execute()) continue;  // undone by the destructor of `single`
    const auto released = single->commit();
    if (!released) job->fail(released.error());
  }
  return group.commit();
}

}  // namespace tare::sql
