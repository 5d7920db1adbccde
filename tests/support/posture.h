// What `tare-posture` said inside a sandbox, held against the reviewed files of tests/golden. The
// one piece for all who ask: the kernel tests, and the program tare-posture-check for what
// `tare posture` prints (e2e/sandbox_view_test.py).
//
// posture_NAME.txt        each line that is said, but those of /proc and /sys
// posture_proc.txt        what of /proc and /sys may be listed, read, written, ... and why
// posture_proc_build.txt  the same for what only the host's network adds
// posture_exec.txt        in what an exec differs from the program of a run, and why
//
// Kernels differ in what /proc has: what the reviewed files name must be there inside exactly when
// this host's kernel has it. That is looked up in namespaces of our own, not in the sandbox.
//
// Process: the test's, outside, one thread. A reviewed file that is missing, or malformed: throws
// std::runtime_error.
#pragma once

#include <string>

namespace tare::testing {

struct Reviewed {
  std::string name;           // posture_NAME.txt
  bool host_network = false;  // of an environment build
  bool of_an_exec = false;
};

// Empty: as reviewed. Else a line for each difference.
std::string posture_differences(const std::string& said, const Reviewed& reviewed);

// Writes posture_NAME.txt anew, to be reviewed; the other files are written by hand. Keeps the
// lines that only other hosts have.
void update_posture(const std::string& said, const Reviewed& reviewed);

}  // namespace tare::testing
