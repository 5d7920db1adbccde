// What can be asked of a sandbox that lives, one piece of work each: how it is asked for, when it
// is over, and what must be true of its answer and of what it has left, whoever has died meanwhile.
//
// Process: the test's. The launcher must outlive it. Failures are those of the running test.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "support/session.h"
#include "support/stepper.h"

namespace tare::testing {

// What has happened while it was done.
struct Fate {
  bool lives = true;       // the sandbox; else all of it is dead
  bool cut = false;        // the process that does it is dead: the exec's own, tare-files, a maker
  bool makers = false;     // all of them
  bool signalled = false;  // it was sent SIGKILL
  bool tared = false;      // tared has another life: its descriptors are gone
  bool unread = false;     // and the launcher may not have read what was asked
};

class Work {
 public:
  Work(TestLauncher& launcher, const model::SandboxSpec& spec)
      : launcher_(launcher), session_(launcher, spec) {}
  virtual ~Work() = default;

  // Sends it, and all that it reads.
  virtual void ask() = 0;
  // Has the launcher told how it ended; of one that stays, that it has started?
  virtual bool answered() = 0;
  // What it waits for comes, if it waits for anything. Not while the launcher or tare-init is held.
  virtual void wake() {}
  // How many reports tare-init has sent when it is through, with that it was prepared.
  virtual int reports() const { return 3; }
  // Of an exec: its number.
  virtual std::uint32_t number() const { return 0; }
  // Of its sandbox, beside what is done to that.
  virtual bool may_end_as(model::EndReason) const { return false; }
  // All that tared had of it is closed.
  virtual void lose() {}
  // Leaves a sandbox that lives, and nothing else of it; or one that has ended, and told so.
  virtual void judge(const Fate& fate) = 0;

  TestSession& session() { return session_; }

 protected:
  TestLauncher& launcher_;
  TestSession session_;
};

struct NamedWork {
  const char* name;
  // In a session of its own. `stays`: an exec that does not end by itself.
  std::function<std::unique_ptr<Work>(TestLauncher& launcher, bool stays)> make;
  std::vector<Stepped> by;  // whose calls it takes

  friend void PrintTo(const NamedWork& work, std::ostream* out) { *out << work.name; }
};
// Of an exec; of tare-files; what keeps the whole sandbox still.
std::vector<NamedWork> exec_works();
std::vector<NamedWork> file_works();
std::vector<NamedWork> still_works();

}  // namespace tare::testing
