// What `tare-posture` said inside a sandbox, held against the reviewed files of tests/golden. The
// one piece for all who ask: the kernel tests, and the program tare-posture-check for what
// `tare posture` prints (e2e/sandbox_view_test.py).
//
// posture_NAME.txt        each line that is said, but those of /proc and /sys
// posture_proc.txt        what of /proc and /sys may be listed, read, written, ... and why
// posture_proc_build.txt  the same for what only the host's network adds
// posture_CHANGE.txt      in what one that is given more, or runs elsewhere, differs from that, and
//                         why: "- LINE" is not there, "+ LINE" is, after the line that was named
//                         last; "= LINE" names one that is there; "~ OLD NEW POINT..." gives
//                         the mounts there another type
//
// Kernels differ in what /proc has: what the reviewed files name must be there inside exactly when
// this host's kernel has it. That is looked up in namespaces of our own, not in the sandbox.
//
// Process: the test's, outside, one thread. A reviewed file that is missing, or malformed: throws
// std::runtime_error.
#pragma once

#include <string>
#include <vector>

namespace tare::testing {

struct Reviewed {
  std::string name;                       // posture_NAME.txt
  bool host_network = false;              // of an environment build
  std::vector<std::string> changes = {};  // one after the other
};

// Empty: as reviewed. Else a line for each difference.
std::string posture_differences(const std::string& said, const Reviewed& reviewed);

// Writes posture_NAME.txt anew, to be reviewed; the other files are written by hand. Keeps the
// lines that only other hosts have.
void update_posture(const std::string& said, const Reviewed& reviewed);

}  // namespace tare::testing
