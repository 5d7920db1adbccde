// Holds one check of a doctor at a known place: what is killed then, is killed at that place,
// however fast the machine is. By ptrace alone: nothing in the programs helps.
//
// Process: the test's, as root. What does nothing for a minute is an exception, and so is a check
// that does not come by. Source: ptrace(2).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace tare::testing {

struct Place {
  const char* check;             // its name in the doctor's table
  long call = -1;                // before its first of these; -1: as it is born
  bool child_is_unborn = false;  // the first process that it made has not done anything yet
  bool on_v2 = true;             // there is such a place where all cgroups are v2's
  std::string text() const;
};

class [[nodiscard]] HeldCheck {
 public:
  // `doctor` is about to become one.
  explicit HeldCheck(pid_t doctor);
  HeldCheck(const HeldCheck&) = delete;
  HeldCheck& operator=(const HeldCheck&) = delete;
  ~HeldCheck();

  void hold(const Place& place);
  pid_t keeper() const { return keeper_; }
  // Waits for the death of the check, by somebody else's hand; lets go all that is held.
  void wait_for_death();

 private:
  pid_t newborn(pid_t parent);
  void find_check(int number);
  void find_call(const Place& place);

  pid_t doctor_, keeper_ = 0, check_ = 0, child_ = 0;
  bool is_unborn_ = false;
};

}  // namespace tare::testing
