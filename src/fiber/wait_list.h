// WaitList: the fibers that wait for one thing, in order of arrival. Intrusive: the links live in
// the waiters (on the waiting fibers' stacks), so waiting allocates nothing. Loop thread only. What
// never happens: a list dies while a fiber is still linked to it (CHECK in the destructor).
#pragma once

#include "base/check.h"

namespace tare::fiber {

class Waiter;

struct WaitLink {
  explicit WaitLink(Waiter* waiter) : owner(waiter) {}
  ~WaitLink() { unlink(); }
  WaitLink(const WaitLink&) = delete;
  WaitLink& operator=(const WaitLink&) = delete;

  bool linked() const { return next != this; }
  void unlink() {
    previous->next = next;
    next->previous = previous;
    next = previous = this;
  }

  WaitLink* next = this;
  WaitLink* previous = this;
  Waiter* owner;
};

class WaitList {
 public:
  WaitList() = default;
  ~WaitList() { CHECK(empty()); }
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  bool empty() const { return !head_.linked(); }
  void push_back(WaitLink& link) {
    CHECK(!link.linked());
    link.previous = head_.previous;
    link.next = &head_;
    head_.previous->next = &link;
    head_.previous = &link;
  }
  // The longest waiting one, unlinked; nullptr when there is none.
  Waiter* pop_front() {
    if (empty()) return nullptr;
    WaitLink* link = head_.next;
    link->unlink();
    return link->owner;
  }

 private:
  WaitLink head_{nullptr};
};

}  // namespace tare::fiber
