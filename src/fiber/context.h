// Context: how long a piece of work may go on, passed down the call tree by const reference. It
// ends when its deadline passes (Errc::timeout) or when it, or a Context it was derived from, is
// cancelled (Errc::cancelled). Every wait takes one and returns that error; nothing is thrown.
//
//   Result<> fetch(const Context& parent) {
//     Context ctx = parent.with_timeout(5s);
//     TRY(socket.read_some(buffer, ctx));
//
// Owner: whoever holds it; a cheap value. Loop thread only. A child may only end sooner than its
// parent.
#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "fiber/time.h"

namespace tare::fiber {

class CancelState;  // cancel_state.h, private to src/fiber

class Context {
 public:
  // Never ends. For main, for tests, and for work that must outlive the one who asked for it.
  static Context background() { return {}; }

  Context with_deadline(TimePoint deadline) const;
  Context with_timeout(Duration timeout) const;

  std::optional<TimePoint> deadline() const;
  bool cancelled() const;
  // An error when it has ended, by cancellation or by its deadline.
  Result<> check() const;

 private:
  friend class CancelScope;
  friend class Waiter;
  Context() = default;

  std::shared_ptr<CancelState> cancel_;  // null: cannot be cancelled
  TimePoint deadline_ = TimePoint::max();
};

// Makes a Context that its owner can cancel. Cancelling reaches everything derived from it, wakes
// every fiber that waits with it, and is final. The destructor cancels: who can no longer be
// reached must not go on.
class CancelScope {
 public:
  explicit CancelScope(const Context& parent);
  ~CancelScope();
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

  const Context& context() const { return context_; }
  void cancel();

 private:
  Context context_;
};

}  // namespace tare::fiber
