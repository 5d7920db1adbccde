#include "fiber/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "fiber/waiter.h"

namespace tare::fiber {

namespace {
constexpr std::size_t kEventsPerPoll = 256;
}  // namespace

struct Poller::Foreign final : Poller::Source {
  explicit Foreign(int number) : fd(number) {}
  void on_events(std::uint32_t events) override {
    const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if (broken || (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI)) != 0) wake_all(readers);
    if (broken || (events & EPOLLOUT) != 0) wake_all(writers);
  }
  static void wake_all(WaitList& list) {
    while (Waiter* waiter = list.pop_front()) waiter->wake(Wake::notified);
  }

  int fd;
  WaitList readers;
  WaitList writers;
};

Result<std::unique_ptr<Poller>> Poller::create() {
  sys::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return sys_error(errno, "epoll_create1");
  sys::UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return sys_error(errno, "eventfd");
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // edge-triggered: never read, each write is one edge
  event.data.ptr = nullptr;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return sys_error(errno, "epoll_ctl add eventfd");
  }
  return std::unique_ptr<Poller>(new Poller(std::move(epoll), std::move(wake)));
}

Poller::Poller(sys::UniqueFd epoll, sys::UniqueFd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)) {}

Poller::~Poller() = default;

Result<> Poller::set(int operation, int fd, std::uint32_t events, Source& source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) return sys_error(errno, "epoll_ctl");
  return {};
}

Result<> Poller::add(int fd, Source& source) {
  return set(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, source);
}

Result<> Poller::tell_writable(int fd, Source& source) {
  return set(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, source);
}

void Poller::remove(int fd) {
  epoll_event ignored{};
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &ignored) == 0);
}

Result<> Poller::arm(Foreign& foreign, int operation) {
  std::uint32_t events = EPOLLONESHOT;
  if (!foreign.readers.empty()) events |= EPOLLIN | EPOLLRDHUP;
  if (!foreign.writers.empty()) events |= EPOLLOUT;
  auto armed = set(operation, foreign.fd, events, foreign);
  if (!armed && armed.error().sys == EPERM) {
    return Error{Errc::invalid, "descriptor cannot be waited for (a regular file is always ready)",
                 EPERM};
  }
  return armed;
}

Result<> Poller::want(int fd, Direction direction, WaitLink& link) {
  auto& slot = foreign_[fd];
  const bool fresh = slot == nullptr;
  if (fresh) slot = std::make_unique<Foreign>(fd);
  (direction == Direction::in ? slot->readers : slot->writers).push_back(link);
  auto armed = arm(*slot, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
  if (!armed) {
    link.unlink();
    if (fresh) foreign_.erase(fd);
  }
  return armed;
}

void Poller::drop(int fd) {
  auto found = foreign_.find(fd);
  if (found == foreign_.end()) return;
  if (found->second->readers.empty() && found->second->writers.empty()) {
    epoll_event ignored{};
    // May fail when the owner has closed it meanwhile, against our rule; the kernel has then
    // forgotten it.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &ignored);
    foreign_.erase(found);
    return;
  }
  CHECK(arm(*found->second, EPOLL_CTL_MOD).ok());
}

void Poller::poll(std::optional<Duration> timeout) {
  timespec limit{};
  if (timeout) {
    const auto ns = std::max<std::int64_t>(0, std::chrono::nanoseconds(*timeout).count());
    limit.tv_sec = ns / 1'000'000'000;
    limit.tv_nsec = ns % 1'000'000'000;
  }
  std::array<epoll_event, kEventsPerPoll> events;
  const int count = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   timeout ? &limit : nullptr, nullptr);
  if (count < 0) {
    CHECK(errno == EINTR);
    return;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    if (events[i].data.ptr == nullptr)
      continue;  // interrupt(): the scheduler looks at its posts anyway
    static_cast<Source*>(events[i].data.ptr)->on_events(events[i].events);
  }
}

void Poller::interrupt() {
  const std::uint64_t one = 1;
  // EAGAIN (the counter is full) still leaves it readable; the edge is what counts, so empty it
  // once.
  if (::write(wake_.get(), &one, sizeof one) == sizeof one) return;
  std::uint64_t drained = 0;
  (void)!::read(wake_.get(), &drained, sizeof drained);
  (void)!::write(wake_.get(), &one, sizeof one);
}

}  // namespace tare::fiber
