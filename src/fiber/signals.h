// Signals as values: a fiber waits for SIGTERM or SIGINT as for anything else. Source: signalfd(2).
// Owner: main, which creates it before any other thread starts (the signals are blocked in this
// thread and in those started later; children must unblock them, see sys/process.h). Never a
// handler, never a race.
#pragma once

#include <initializer_list>

#include "base/result.h"
#include "fiber/context.h"
#include "sys/fd.h"

namespace tare::fiber {

class Signals {
 public:
  static Result<Signals> block(std::initializer_list<int> numbers);
  // The number of the next signal. Errors: Errc::cancelled, Errc::timeout.
  Result<int> wait(const Context& ctx);

 private:
  explicit Signals(sys::UniqueFd fd) : fd_(std::move(fd)) {}
  sys::UniqueFd fd_;
};

}  // namespace tare::fiber
