// Gate: counts the users of a shared thing, so that it can be taken away when the last has left.
//
//   auto pass = TRY(gate.enter());     // in each user; leaving the scope leaves the gate
//   gate.close(); TRY(gate.wait_empty(ctx));   // in the owner, before the thing dies
//
// Owner: the shared thing. Loop thread only. Errors: Errc::unavailable from enter() after close().
// What never happens: a Gate dies with users inside (CHECK).
#pragma once

#include <cstddef>
#include <utility>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/event.h"

namespace tare::fiber {

class Gate {
 public:
  class Pass {
   public:
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      return *this;
    }
    ~Pass() {
      if (gate_ != nullptr) gate_->leave();
    }

   private:
    friend class Gate;
    explicit Pass(Gate* gate) : gate_(gate) {}
    Gate* gate_;
  };

  Gate() = default;
  ~Gate() { CHECK(users_ == 0); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  Result<Pass> enter();
  // No one enters any more. Final.
  void close() { closed_ = true; }
  Result<> wait_empty(const Context& ctx);
  std::size_t users() const { return users_; }

 private:
  void leave();

  std::size_t users_ = 0;
  bool closed_ = false;
  Event empty_;
};

}  // namespace tare::fiber
