// Makes the test process the parent of what its dead children leave behind (a subreaper), which is
// an exact answer to "is a process left?": also of one that is in no cgroup yet, or no more.
//
// Process: the test's; one at a time. Source: PR_SET_CHILD_SUBREAPER(2const).
#pragma once

#include <string>
#include <vector>

namespace tare::testing {

class [[nodiscard]] Orphans {
 public:
  Orphans();
  Orphans(const Orphans&) = delete;
  Orphans& operator=(const Orphans&) = delete;
  ~Orphans();

  // When no child that is still wanted lives: reaps until there is none. One line for each process
  // that is still there after `timeout_ms`.
  std::vector<std::string> left_after(int timeout_ms);
};

}  // namespace tare::testing
