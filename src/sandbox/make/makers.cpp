#include "sandbox/make/makers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "sys/files.h"
#include "sys/fork.h"
#include "sys/unshare.h"

namespace tare::sandbox {

namespace {

std::uint32_t number_of(const ToMaker& order) {
  return std::visit([](const auto& message) { return message.number; }, order);
}

FromMaker failed(const ToMaker& order, const std::string& why) {
  if (const auto* make = std::get_if<MakeOrder>(&order)) return Made{make->number, 0, why, false};
  if (const auto* stop = std::get_if<StopOrder>(&order)) return Stopped{stop->number, why};
  // How far it had come is not known.
  if (const auto* swap = std::get_if<SwapOrder>(&order)) return Swapped{swap->number, why, true};
  return Removed{std::get<RemoveOrder>(order).number, why};
}

// Does not come back.
[[noreturn]] void be_maker(const MakerTools& tools, sys::UniqueFd socket) {
  ::prctl(PR_SET_NAME, "tare-maker", 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // What is made ahead, and what is inside, does not go before others as the launcher does.
  ::setsid();
  ::setpriority(PRIO_PROCESS, 0, 0);
  std::vector<int> kept = tools.descriptors();
  kept.insert(kept.end(), {0, 1, 2, socket.get()});
  RealClock clock;
  FdLogSink sink(2);
  Logger log(sink, clock);
  // The launcher's own: tared's connection, the sandboxes' sockets and pipes.
  if (auto closed = sys::close_all_but(kept); !closed) {
    log.error("maker: cannot close what it must not have", closed.error());
    ::_exit(1);
  }
  if (auto own = sys::copy_mounts(); !own) {
    log.error("maker: no mount namespace", own.error());
    ::_exit(1);
  }
  auto served = Maker(tools, std::move(socket)).serve();
  if (!served) log.error("maker: cannot go on", served.error());
  ::_exit(served ? 0 : 1);
}

}  // namespace

Result<> Makers::start(std::uint32_t count, Watch watch) {
  watch_ = std::move(watch);
  makers_.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) TRY(fork_one(i));
  return ok();
}

Result<> Makers::fork_one(std::uint32_t index) {
  auto [ours, theirs] = TRY(sys::seqpacket_pair());
  sys::Child child = TRY(sys::fork_child().context("maker"));
  if (!child.valid()) be_maker(tools_, std::move(theirs));
  TRY(sys::set_nonblocking(ours.get(), true));
  Process& maker = makers_[index];
  maker.socket = std::move(ours);
  maker.child = std::move(child);
  return watch_(index, maker.socket.get());
}

void Makers::order(ToMaker message, Urgency urgency, std::vector<sys::UniqueFd> fds) {
  queues_[static_cast<std::size_t>(urgency)].push_back({std::move(message), std::move(fds)});
  hand_out();
}

void Makers::hand_out() {
  for (auto& queue : queues_) {
    while (!queue.empty()) {
      const auto maker = std::ranges::min_element(
          makers_, {}, [](const Process& process) { return process.busy.size(); });
      if (maker == makers_.end() || maker->busy.size() >= kOrdersAtOnce) return;
      const Order& order = queue.front();
      std::vector<int> borrowed;
      for (const sys::UniqueFd& fd : order.fds) borrowed.push_back(fd.get());
      auto bytes = encode_to_maker(order.message);
      auto sent = bytes ? sys::send_message(maker->socket.get(), *bytes, borrowed)
                        : Result<>(std::move(bytes).error());
      // A dead one is found out by its socket, and what it was given is answered then.
      if (!sent) log_.error("maker: order not sent", sent.error());
      if (maker->busy.empty()) maker->since_us = RealClock().monotonic_us();
      maker->busy.push_back(order.message);
      queue.pop_front();
    }
  }
}

std::uint64_t Makers::deadline_us() const {
  std::uint64_t first = 0;
  for (const Process& maker : makers_) {
    const std::uint64_t own = maker.busy.empty() ? 0 : maker.since_us + kPatienceUs;
    if (own > 0 && (first == 0 || own < first)) first = own;
  }
  return first;
}

void Makers::check(std::uint64_t now_us) {
  for (Process& maker : makers_) {
    if (maker.busy.empty() || maker.since_us + kPatienceUs > now_us) continue;
    log_.error("maker: does not answer and is killed", {{"pid", maker.child.pid()}});
    (void)maker.child.signal(SIGKILL);
    maker.since_us = now_us;  // again, if that did not help
  }
}

bool Makers::making() const {
  return std::ranges::any_of(makers_, [](const Process& maker) {
    return std::ranges::any_of(
        maker.busy, [](const ToMaker& order) { return std::holds_alternative<MakeOrder>(order); });
  });
}

std::vector<MakerAnswer> Makers::answers(std::uint32_t index) {
  std::vector<MakerAnswer> out;
  Process& maker = makers_.at(index);
  for (;;) {
    auto received = sys::receive_message(maker.socket.get());
    if (!received && received.error().sys == EAGAIN) break;
    // Died with an order unread, which is told once: what it has answered before comes after it.
    if (!received && received.error().sys == ECONNRESET) continue;
    const bool whole = received && received->has_value();
    auto answer = whole ? match(maker, std::move(**received))
                        : Result<MakerAnswer>(Error{Errc::unavailable, "it has ended"});
    if (!answer) {
      log_.error("maker: is replaced", answer.error());
      for (MakerAnswer& lost : bury(index)) out.push_back(std::move(lost));
      break;
    }
    out.push_back(std::move(*answer));
  }
  hand_out();
  return out;
}

std::vector<pid_t> Makers::pids() const {
  std::vector<pid_t> out;
  for (const Process& maker : makers_) out.push_back(maker.child.pid());
  return out;
}

// Answers come in the order of the orders.
Result<MakerAnswer> Makers::match(Process& maker, sys::Message message) {
  FromMaker answer = TRY(decode_from_maker(message.bytes));
  const auto number = std::visit([](const auto& m) { return m.number; }, answer);
  if (maker.busy.empty() || number_of(maker.busy.front()) != number ||
      answer.index() != maker.busy.front().index()) {
    return Error{Errc::internal, "an answer that nothing was asked for"};
  }
  maker.busy.pop_front();
  maker.since_us = RealClock().monotonic_us();
  return MakerAnswer{std::move(answer), std::move(message.fds)};
}

std::vector<MakerAnswer> Makers::bury(std::uint32_t index) {
  ++deaths_;
  Process& maker = makers_[index];
  maker.child = sys::Child();  // killed and reaped
  maker.socket.reset();
  std::vector<MakerAnswer> lost;
  for (const ToMaker& order : std::exchange(maker.busy, {})) {
    if (const auto* remove = std::get_if<RemoveOrder>(&order)) {
      queues_[static_cast<std::size_t>(Urgency::removal)].push_front({*remove, {}});
    } else {
      lost.push_back({failed(order, "the process that made it has ended"), {}, true});
    }
  }
  if (auto forked = fork_one(index); !forked) {
    log_.error("maker: cannot be replaced", forked.error());
    broken_ = true;
  }
  return lost;
}

}  // namespace tare::sandbox
