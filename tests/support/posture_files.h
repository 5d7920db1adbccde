// The part of posture.h for /proc and /sys: who may do what with which entry.
//
// A reviewed file has groups, set apart by empty lines; each begins with its reason:
//   # why this is harmless
//   read /proc/<pid> /proc/<pid>/task/<tid>: comm limits
//       statm
// The rights are those of src/sandbox/posture/kernel_files.h; of one said to be `open`, bytes may
// come or not. `*` stands for any part of one name, <pid>, <tid> and <n> for numbers. A name with
// `?` at its end need not be there although the kernel has it. Nothing else is left open: what is
// said and not reviewed, and what is reviewed, in the kernel and not said, is a difference.
#pragma once

#include <string>
#include <vector>

namespace tare::testing {

struct FileGroups {
  std::vector<std::string> reviewed;  // texts of reviewed files
  bool host_network = false;
};

// `lines`: those that begin with "file ".
std::string file_differences(const std::vector<std::string>& lines, const FileGroups& groups);

}  // namespace tare::testing
