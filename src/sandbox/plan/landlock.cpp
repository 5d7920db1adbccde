#include "sandbox/plan/landlock.h"

#include <linux/landlock.h>

#include <string_view>

#include "sys/landlock.h"

namespace tare::sandbox {

namespace {

constexpr std::uint64_t kMakeDevices = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

constexpr std::string_view kWritable[] = {"/home/agent", "/output",  "/tmp",
                                          "/var/tmp",    "/dev/shm", "/dev/mqueue"};

}  // namespace

std::vector<Step> landlock_steps(const BaseKind& kind, int abi) {
  if (abi < 2) return {};
  const std::uint64_t writing = sys::landlock_write_rights(abi);
  const std::uint64_t ioctl = abi >= 5 ? sys::landlock::kIoctlOnDevices : 0;
  const bool host_network = kind.network == model::Network::host;
  const std::uint64_t scope = abi >= 6 && host_network ? sys::landlock::kScopeAbstractSockets : 0;
  // What is there already: device files, and the files by which a process sets itself.
  const std::uint64_t in_place = writing &
                                 (LANDLOCK_ACCESS_FS_WRITE_FILE | sys::landlock::kTruncate);
  std::vector<Step> steps = {{Op::confine, "", "", writing | ioctl, scope}};
  const auto beneath = [&steps](std::string_view path, std::uint64_t rights) {
    steps.push_back({Op::confine_beneath, std::string(path), "", rights, 0});
  };
  if (kind.uid == 0) {
    beneath("/", writing & ~kMakeDevices);
  } else {
    for (const std::string_view path : kWritable) beneath(path, writing & ~kMakeDevices);
    beneath("/proc", in_place);
  }
  beneath("/dev", in_place | ioctl);
  steps.push_back({Op::confined, "", "", 0, 0});
  return steps;
}

}  // namespace tare::sandbox
