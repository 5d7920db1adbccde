#include "support/orphans.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "sys/files.h"

namespace tare::testing {

namespace {

std::vector<std::string> children() {
  std::vector<std::string> found;
  const std::string mark = "\nPPid:\t" + std::to_string(::getpid()) + "\n";
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string status = sys::read_file_at(sys::kCwd, entry.path().string() + "/status")
                                   .value_or("");
    if (status.find(mark) == std::string::npos) continue;
    found.push_back("process " + name + " (" + status.substr(6, status.find('\n') - 6) + ")");
  }
  return found;
}

}  // namespace

Orphans::Orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
Orphans::~Orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); }

std::vector<std::string> Orphans::left_after(int timeout_ms) {
  for (int waited_ms = 0;; ++waited_ms) {
    pid_t reaped = 0;
    while ((reaped = ::waitpid(-1, nullptr, __WALL | WNOHANG)) > 0) {
    }
    if (reaped < 0) return {};  // ECHILD
    if (waited_ms >= timeout_ms) return children();
    ::usleep(1000);
  }
}

}  // namespace tare::testing
