// Cgroups whose processes stand still: the freezer of v2 and v1.
#include <signal.h>

#include <algorithm>
#include <charconv>

#include "sandbox/cgroup/cgroup.h"
#include "sys/files.h"
#include "sys/process.h"

namespace tare::sandbox {

namespace {

constexpr std::size_t kMaxProcessesBytes = std::size_t{1} << 20;  // more than the limit of pids

}  // namespace

Result<> CgroupRoot::set_stopped(std::string_view name, bool stopped) const {
  const Folder* folder = killing();
  if (folder == nullptr) return Error{Errc::unavailable, "no hierarchy that can stop processes"};
  const std::string in(name);
  return folder->hierarchy.unified
             ? sys::write_control(folder->folder.get(), in + "/cgroup.freeze", stopped ? "1" : "0")
             : sys::write_control(folder->folder.get(), in + "/freezer.state",
                                  stopped ? "FROZEN" : "THAWED");
}

Result<bool> CgroupRoot::is_stopped(std::string_view name) const {
  const Folder* folder = killing();
  const int dir = folder->folder.get();
  const std::string in(name);
  if (folder->hierarchy.unified)
    return TRY(sys::read_file_at(dir, in + "/cgroup.events", 4096)).find("frozen 1") !=
           std::string::npos;
  return TRY(sys::read_file_at(dir, in + "/freezer.state", 64)).starts_with("FROZEN");
}

Result<> CgroupRoot::stop_child(std::string_view name, std::uint64_t patience_ms) const {
  TRY(set_stopped(name, true));
  for (std::uint64_t waited_ms = 0;; ++waited_ms) {
    auto stopped = is_stopped(name);
    if (stopped && *stopped) return ok();
    if (!stopped || waited_ms >= patience_ms) {
      (void)set_stopped(name, false);
      if (!stopped) return std::move(stopped).error();
      return Error{Errc::timeout, "its processes do not stand still"};
    }
    sys::pause_ms(1);
  }
}

Result<> CgroupRoot::continue_child(std::string_view name) const {
  return set_stopped(name, false);
}

// Their numbers, one a line.
Result<std::string> CgroupRoot::processes_of(std::string_view name) const {
  const Folder* folder = killing();
  if (folder == nullptr) return Error{Errc::unavailable, "no hierarchy that can stop processes"};
  return sys::read_file_at(folder->folder.get(), std::string(name) + "/cgroup.procs",
                           kMaxProcessesBytes);
}

Result<std::uint32_t> CgroupRoot::count_standing(std::string_view name) const {
  const std::string text = TRY(processes_of(name));
  return static_cast<std::uint32_t>(std::ranges::count(text, '\n'));
}

Result<> CgroupRoot::kill_standing(std::string_view name, pid_t spared) const {
  const std::string text = TRY(processes_of(name));
  for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
    pid_t pid = 0;
    at = std::from_chars(at, text.data() + text.size(), pid).ptr;
    // None of them can end, or be reaped, before it goes on: numbers are not used again.
    if (pid > 0 && pid != spared) TRY(sys::signal_number(pid, SIGKILL));
  }
  return ok();
}

}  // namespace tare::sandbox
