#include "fiber/loop.h"

#include "fiber/scheduler.h"

namespace tare::fiber {

Result<std::unique_ptr<Loop>> Loop::create() {
  auto scheduler = TRY(Scheduler::create());
  return std::unique_ptr<Loop>(new Loop(std::move(scheduler)));
}

Loop::Loop(std::unique_ptr<Scheduler> scheduler)
    : scheduler_(std::move(scheduler)),
      root_(std::make_unique<CancelScope>(Context::background())) {}

Loop::~Loop() {
  scheduler_->drop_unstarted();
  root_->cancel();
  scheduler_->run();
}

void Loop::spawn(UniqueFunction<void(const Context&)> body) {
  scheduler_->start([body = std::move(body), ctx = root_->context()]() mutable { body(ctx); });
}

void Loop::run() { scheduler_->run(); }

bool Loop::run_ready() { return scheduler_->run_ready(); }

void Loop::stop() { root_->cancel(); }

void Loop::stop_from_any_thread() {
  post([this] { root_->cancel(); });
}

void Loop::post(UniqueFunction<void()> function) { scheduler_->post(std::move(function)); }

void yield() { Scheduler::current().yield(); }

Result<> run_fiber(UniqueFunction<Result<>(const Context&)> body) {
  auto loop = TRY(Loop::create());
  Result<> result = Error{Errc::internal, "the fiber did not run", 0};
  loop->spawn([&](const Context& ctx) { result = body(ctx); });
  loop->run();
  return result;
}

}  // namespace tare::fiber
