#include "fiber/context.h"

#include <algorithm>

#include "fiber/cancel_state.h"
#include "fiber/waiter.h"

namespace tare::fiber {

CancelState::CancelState(std::shared_ptr<CancelState> parent) : parent_(std::move(parent)) {
  if (parent_ == nullptr) return;
  cancelled_ = parent_->cancelled_;
  next_sibling_ = parent_->first_child_;
  if (next_sibling_ != nullptr) next_sibling_->previous_sibling_ = this;
  parent_->first_child_ = this;
}

CancelState::~CancelState() {
  CHECK(first_child_ == nullptr);  // children keep us alive
  if (parent_ == nullptr) return;
  if (next_sibling_ != nullptr) next_sibling_->previous_sibling_ = previous_sibling_;
  (previous_sibling_ != nullptr ? previous_sibling_->next_sibling_
                                : parent_->first_child_) = next_sibling_;
}

void CancelState::cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  // Waking only makes fibers ready; none runs here, so the lists do not change under us.
  while (Waiter* waiter = waiting_.pop_front()) waiter->wake(Wake::cancelled);
  for (auto* child = first_child_; child != nullptr; child = child->next_sibling_) child->cancel();
}

Context Context::with_deadline(TimePoint deadline) const {
  Context child = *this;
  child.deadline_ = std::min(deadline_, deadline);
  return child;
}

Context Context::with_timeout(Duration timeout) const {
  const TimePoint now = Clock::now();
  return timeout > TimePoint::max() - now ? *this : with_deadline(now + timeout);
}

std::optional<TimePoint> Context::deadline() const {
  if (deadline_ == TimePoint::max()) return std::nullopt;
  return deadline_;
}

bool Context::cancelled() const { return cancel_ != nullptr && cancel_->cancelled(); }

Result<> Context::check() const {
  if (cancelled()) return Error{Errc::cancelled, "cancelled", 0};
  if (deadline_ != TimePoint::max() && Clock::now() >= deadline_) {
    return Error{Errc::timeout, "the deadline has passed", 0};
  }
  return {};
}

CancelScope::CancelScope(const Context& parent) : context_(parent) {
  context_.cancel_ = std::make_shared<CancelState>(parent.cancel_);
}

CancelScope::~CancelScope() { cancel(); }

void CancelScope::cancel() { context_.cancel_->cancel(); }

}  // namespace tare::fiber
