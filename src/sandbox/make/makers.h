// Makers: the launcher's side of its maker processes. Forks them, keeps the orders that wait (those
// that a run waits for first, then what is to be removed, then those for the pool), forks a new one
// when one has died, and kills one that has not answered for a minute.
//
// Owner: Launcher. Single thread. Times: CLOCK_MONOTONIC us. Errors of start(): when a process
// cannot be forked. What never happens: an order goes unanswered: those of a maker that died are
// answered with an error, and the removals are given to the next.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "sandbox/make/maker.h"
#include "sys/fd.h"
#include "sys/process.h"
#include "sys/seqpacket.h"

namespace tare::sandbox {

struct MakerAnswer {
  FromMaker message;
  std::vector<sys::UniqueFd> fds;
  bool lost = false;  // its maker has died: the order itself may be good
};

class [[nodiscard]] Makers {
 public:
  enum class Urgency : std::uint8_t { run, removal, pool };
  // Called whenever there is a new socket to watch: which maker, and its socket.
  using Watch = std::function<Result<>(std::uint32_t index, int socket)>;

  Makers(const MakerTools& tools, const Logger& log) : tools_(tools), log_(log) {}
  Result<> start(std::uint32_t count, Watch watch);
  // The removals that are still on their way are lost: sweep the cgroups afterwards.
  void stop() { makers_.clear(); }

  void order(ToMaker message, Urgency urgency, std::vector<sys::UniqueFd> fds = {});
  // Its socket is readable. What it answered; after its death what is to be taken for its answers.
  std::vector<MakerAnswer> answers(std::uint32_t index);
  // When check() has something to do; 0: never.
  std::uint64_t deadline_us() const;
  // Kills those that hang. Their end is told like any other's.
  void check(std::uint64_t now_us);
  // A process that nobody knows yet may be one that a maker is about to tell of.
  bool making() const;
  std::vector<pid_t> pids() const;
  // How many have died: what such a one was just making may be a child that nobody knows.
  std::uint32_t deaths() const { return deaths_; }
  // One that died could not be replaced: nothing more can be made or removed.
  bool broken() const { return broken_; }

 private:
  struct Order {
    ToMaker message;
    std::vector<sys::UniqueFd> fds;
  };
  struct Process {
    sys::Child child;
    sys::UniqueFd socket;
    std::deque<ToMaker> busy;    // in the order of their answers
    std::uint64_t since_us = 0;  // it has been at the first of them
  };
  // One being done, one at hand.
  static constexpr std::size_t kOrdersAtOnce = 2;
  // The slowest there is makes a disk image, on a machine under attack.
  static constexpr std::uint64_t kPatienceUs = 60'000'000;

  Result<> fork_one(std::uint32_t index);
  void hand_out();
  Result<MakerAnswer> match(Process& maker, sys::Message message);
  std::vector<MakerAnswer> bury(std::uint32_t index);

  const MakerTools& tools_;
  const Logger& log_;
  Watch watch_;
  std::vector<Process> makers_;
  std::array<std::deque<Order>, 3> queues_;
  std::uint32_t deaths_ = 0;
  bool broken_ = false;
};

}  // namespace tare::sandbox
