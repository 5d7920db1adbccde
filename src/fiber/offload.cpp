#include "fiber/offload.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "fiber/waiter.h"

namespace tare::fiber {

struct Offload::Job {
  void (*call)(void*);
  void* argument;
  Scheduler* scheduler;
  Waiter* waiter;
  bool done = false;  // loop thread only
};

struct Offload::State {
  std::mutex mutex;
  std::condition_variable work;
  std::deque<Job*> queue;
  bool ending = false;
  std::size_t queue_limit = 0;
  std::vector<std::thread> threads;

  void serve() {
    for (;;) {
      Job* job = nullptr;
      {
        std::unique_lock lock(mutex);
        work.wait(lock, [this] { return ending || !queue.empty(); });
        if (queue.empty()) return;
        job = queue.front();
        queue.pop_front();
      }
      job->call(job->argument);
      // The post orders what the function wrote before what the fiber reads, and keeps the job
      // alive until then.
      job->scheduler->post([job] {
        job->done = true;
        job->waiter->wake(Wake::notified);
      });
    }
  }

  // True if no thread has begun it.
  bool take_back(Job* job) {
    const std::lock_guard lock(mutex);
    auto found = std::find(queue.begin(), queue.end(), job);
    if (found == queue.end()) return false;
    queue.erase(found);
    return true;
  }
};

Offload::Offload(std::size_t threads, std::size_t queue_limit) : state_(std::make_unique<State>()) {
  CHECK(threads > 0);
  state_->queue_limit = queue_limit;
  state_->threads.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    state_->threads.emplace_back([state = state_.get()] { state->serve(); });
  }
}

Offload::~Offload() {
  {
    const std::lock_guard lock(state_->mutex);
    CHECK(state_->queue.empty());
    state_->ending = true;
  }
  state_->work.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

Result<> Offload::run_job(void (*call)(void*), void* argument, const Context& ctx) {
  TRY(ctx.check());
  Waiter waiter;
  Job job{call, argument, &Scheduler::current(), &waiter};
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->queue.size() >= state_->queue_limit) {
      return Error{Errc::exhausted, "too much work is waiting for a worker thread; try again later",
                   0};
    }
    state_->queue.push_back(&job);
  }
  state_->work.notify_one();
  auto woken = waiter.wait(ctx);
  if (woken) return woken;
  if (!job.done && state_->take_back(&job)) return woken;
  while (!job.done) CHECK(waiter.wait(Context::background()).ok());
  return {};
}

}  // namespace tare::fiber
