#include "fiber/scheduler.h"

#include <cxxabi.h>

#include <cstring>

#include "fiber/waiter.h"

namespace tare::fiber {

namespace {

thread_local Scheduler* current_scheduler = nullptr;

// Not inlined: a fiber must not keep the address of a thread_local across a switch. (Fibers do not
// change threads, but the compiler may mix what is before and after.)
[[gnu::noinline]] Scheduler*& current_slot() { return current_scheduler; }

class Current {
 public:
  explicit Current(Scheduler* scheduler) : before_(std::exchange(current_slot(), scheduler)) {}
  ~Current() { current_slot() = before_; }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  Scheduler* before_;
};

void swap_exceptions(ExceptionState& save, const ExceptionState& load) {
  void* globals = abi::__cxa_get_globals();
  std::memcpy(&save, globals, sizeof save);
  std::memcpy(globals, &load, sizeof load);
}

}  // namespace

Result<std::unique_ptr<Scheduler>> Scheduler::create() {
  auto poller = TRY(Poller::create());
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(poller)));
}

Scheduler::~Scheduler() { CHECK(live_ == 0); }

Scheduler& Scheduler::current() {
  Scheduler* scheduler = current_slot();
  CHECK(scheduler != nullptr);  // call this from a fiber
  return *scheduler;
}

void Scheduler::start(UniqueFunction<void()> body) {
  auto*
      fiber = new Fiber{};  // NOLINT: deleted in resume() when it has ended, or in drop_unstarted()
  fiber->body = std::move(body);
  ++live_;
  make_ready(*fiber);
}

void Scheduler::resume(Fiber& fiber) {
  if (!fiber.inside && fiber.stack.bottom == nullptr) {
    auto stack = stacks_.take();
    fiber.stack.bottom = static_cast<char*>(stack.sp) - stack.size;
    fiber.stack.size = stack.size;
    sanitizer_make(fiber.stack);
    fiber.inside = boost::context::fiber(
        std::allocator_arg, PooledStack(stacks_, stack),
        [this, &fiber](boost::context::fiber&& from) {
          sanitizer_arrive(fiber.stack, &own_stack_);
          fiber.outside = std::move(from);
          fiber.body();
          fiber.body = {};  // what it owned dies on its own stack, where waiting is allowed
          fiber.ended = true;
          swap_exceptions(fiber.exceptions, own_exceptions_);
          sanitizer_leave(nullptr, own_stack_);
          return std::move(fiber.outside);
        });
  }
  running_ = &fiber;
  budget_ = kIoBudget;
  sanitizer_adopt_thread(own_stack_);
  swap_exceptions(own_exceptions_, fiber.exceptions);
  sanitizer_leave(&own_stack_, fiber.stack);
  fiber.inside = std::move(fiber.inside).resume();
  sanitizer_arrive(own_stack_, nullptr);
  running_ = nullptr;
  if (!fiber.ended) return;
  sanitizer_destroy(fiber.stack);
  --live_;
  delete &fiber;  // NOLINT: made in start()
}

void Scheduler::suspend() {
  Fiber& fiber = *running_;
  swap_exceptions(fiber.exceptions, own_exceptions_);
  sanitizer_leave(&fiber.stack, own_stack_);
  fiber.outside = std::move(fiber.outside).resume();
  sanitizer_arrive(fiber.stack, &own_stack_);
}

void Scheduler::yield() {
  CHECK(running_ != nullptr);
  make_ready(*running_);
  suspend();
}

void Scheduler::spend() {
  if (--budget_ <= 0) yield();
}

bool Scheduler::run_batch() {
  const std::size_t count = ready_.size();
  for (std::size_t i = 0; i < count; ++i) {
    Fiber* fiber = ready_.front();
    ready_.pop_front();
    resume(*fiber);
  }
  return count != 0;
}

void Scheduler::run_posts() {
  if (!has_posts_.exchange(false)) return;
  std::vector<UniqueFunction<void()>> posts;
  {
    const std::lock_guard lock(posts_mutex_);
    posts.swap(posts_);
  }
  for (auto& function : posts) function();
}

void Scheduler::fire_timers() {
  if (timers_.empty()) return;
  const TimePoint now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Waiter* waiter = timers_.begin()->second;
    timers_.erase(timers_.begin());
    waiter->expire();
  }
}

std::optional<Duration> Scheduler::sleep_time() const {
  if (!ready_.empty() || has_posts_.load()) return Duration::zero();
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first - Clock::now();
}

void Scheduler::run() {
  CHECK(running_ == nullptr);
  const Current here(this);
  while (live_ != 0) {
    run_batch();
    if (live_ == 0) break;
    poller_->poll(sleep_time());
    run_posts();
    fire_timers();
  }
}

bool Scheduler::run_ready() {
  CHECK(running_ == nullptr);
  const Current here(this);
  poller_->poll(Duration::zero());
  run_posts();
  fire_timers();
  return run_batch();
}

void Scheduler::drop_unstarted() {
  std::erase_if(ready_, [this](Fiber* fiber) {
    if (fiber->stack.bottom != nullptr) return false;
    --live_;
    delete fiber;  // NOLINT: made in start()
    return true;
  });
}

// The loop's thread is woken when it can have the mutex: else it would wake to wait for it, and
// perhaps on the processor of the one that holds it.
void Scheduler::post(UniqueFunction<void()> function) {
  {
    const std::lock_guard lock(posts_mutex_);
    posts_.push_back(std::move(function));
  }
  if (!has_posts_.exchange(true)) poller_->interrupt();
}

}  // namespace tare::fiber
