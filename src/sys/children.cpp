#include "sys/children.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "sys/files.h"
#include "sys/retry.h"

namespace tare::sys {

std::vector<pid_t> children() {
  std::vector<pid_t> out;
  const std::string self = std::to_string(::getpid());
  const auto text = read_file_at(kCwd, "/proc/" + self + "/task/" + self + "/children", 1 << 20);
  if (!text) return out;
  const char* at = text->data();
  const char* const end = at + text->size();
  for (pid_t pid = 0; at < end; ++at) {
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error != std::errc()) break;
    out.push_back(pid);
    at = next;  // the blank behind it is stepped over
  }
  return out;
}

void kill_and_reap(pid_t child) {
  if (child <= 1) return;
  (void)::kill(child, SIGKILL);
  (void)retry([&] { return ::waitpid(child, nullptr, __WALL); });
}

}  // namespace tare::sys
