#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "attack.h"

namespace tare::attack {

namespace {

int tried_count = 0;

}  // namespace

void report(const std::string& name, long result) {
  ++tried_count;
  std::printf("%s: %s\n", name.c_str(), result < 0 ? ::strerrorname_np(errno) : "DONE");
}

void harmless(const std::string& name, const std::string& what) {
  ++tried_count;
  std::printf("%s: HARMLESS %s\n", name.c_str(), what.c_str());
}

void report_fd(const std::string& name, int fd) {
  report(name, fd);
  if (fd >= 0) ::close(fd);
}

void report_open(const std::string& path, int flags) {
  report_fd("open " + path, ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK));
}

void report_child(const std::string& name, const std::function<int()>& attack) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(attack());
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) {
    ++tried_count;
    std::printf("%s: SIGNAL %d\n", name.c_str(), WTERMSIG(status));
    return;
  }
  errno = WEXITSTATUS(status);
  report(name, errno == 0 ? 0 : -1);
}

int tried() { return tried_count; }

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

std::string text_of(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char buffer[4096];
  for (ssize_t n = 0; fd >= 0 && (n = ::read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  if (fd >= 0) ::close(fd);
  return text;
}

bool is_number(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

long raw(long number, long a, long b, long c, long d, long e, long f) {
  return ::syscall(number, a, b, c, d, e, f);
}

}  // namespace tare::attack

int main(int argc, char** argv) {
  using namespace tare::attack;
  const std::string group = argc > 1 ? argv[1] : "";
  if (group == "bomb" && argc > 2) return bomb(argv[2]);
  if (group == "tenant" && argc > 2) return tenant(argv[2]);
  if (group == "ids-of") return ids_of_itself();
  if (group == "neighbour" && argc > 2) return neighbour(std::atoi(argv[2]));
  const std::map<std::string, void (*)()> groups = {
      {"pid1", attack_pid1},
      {"pid1_proc", attack_pid1_proc},
      {"mounts", attack_mounts},
      {"proc", attack_proc},
      {"secrets", attack_secrets},
      {"descriptors", attack_descriptors},
      {"calls", attack_calls},
      {"abi", attack_abi},
      {"modules", attack_modules},
      {"ids", attack_ids},
      {"set_id", attack_set_id},
      {"sockets", attack_sockets},
      {"terminal", attack_terminal},
      {"runner", attack_runner},
      {"runner_process", attack_runner_process},
  };
  const auto found = groups.find(group);
  if (found == groups.end()) return 64;
  found->second();
  std::printf("tried %d\n", tried());
  return 0;
}
