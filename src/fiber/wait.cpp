#include "fiber/wait.h"

#include "fiber/waiter.h"

namespace tare::fiber {
namespace {

Result<> wait_for(int fd, Poller::Direction direction, const Context& ctx) {
  TRY(ctx.check());
  Poller& poller = Scheduler::current().poller();
  Waiter waiter;
  TRY(poller.want(fd, direction, waiter.link()));
  auto woken = waiter.wait(ctx);
  poller.drop(fd);
  return woken;
}

}  // namespace

Result<> wait_readable(int fd, const Context& ctx) {
  return wait_for(fd, Poller::Direction::in, ctx);
}

Result<> wait_writable(int fd, const Context& ctx) {
  return wait_for(fd, Poller::Direction::out, ctx);
}

}  // namespace tare::fiber
