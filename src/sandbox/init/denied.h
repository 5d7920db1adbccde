// Refused system calls, answered: what waits at a filter's listener gets its errno, and the
// launcher is told of each distinct call, the first time and each time that its number has doubled,
// and at the end how often it was in all. What a report does not get through at once is told later.
//
// Process: tare-init. A fixed table, no allocation. What never happens: a call is let through; an
// argument is looked at; an answer waits for the launcher.
#pragma once

#include <cstdint>

#include "sandbox/launch/report.h"
#include "sandbox/seccomp/denied.h"

namespace tare::sandbox::init {

// After SECCOMP_FILTER_FLAG_NEW_LISTENER. Without effect where the kernel (before 6.6) has no such:
// then an answer takes two wake-ups of perhaps sleeping processors.
void answer_on_the_same_processor(int listener);

// For Waits: `who` is the DeniedCalls. Closes a listener whose filter nobody has any more.
bool serve_listener(void* who, int listener, short events);

class DeniedCalls {
 public:
  // One call that waits there, if it is still there. False: no process has this filter any more.
  bool answer(int listener, short events);
  // Waits for the launcher: last.
  void tell_totals();

 private:
  struct Entry {
    DeniedCall call;
    std::uint64_t count = 0, told = 0;
  };

  Entry& entry_of(const DeniedCall& call);

  Entry entries_[kMaxDeniedCalls] = {};  // the last one: all others
  int used_ = 0;
};

}  // namespace tare::sandbox::init
