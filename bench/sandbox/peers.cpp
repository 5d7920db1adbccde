#include "peers.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <set>
#include <stdexcept>

#include "support/launcher.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/process.h"

extern char** environ;

namespace tare::bench {

namespace {

std::set<std::string> missing;

// Said once: its rows are left out, which nobody would see.
bool told(const char* peer, bool starts) {
  if (!starts && missing.insert(peer).second)
    std::fprintf(stderr, "bench sandbox: %s does not start: its rows are missing\n", peer);
  return starts;
}

}  // namespace

bool is_a_peer_missing() { return !missing.empty(); }

bool run_program(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, pointers[0], &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return false;
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Peers::Peers() {
  std::string path = "/tmp/tare-bench-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = path;
  for (const char* sub :
       {"/bin", "/bundle", "/bundle/rootfs", "/tree", "/tree/usr", "/tree/usr/bin", "/tree/etc"})
    ::mkdir((folder_ + sub).c_str(), 0755);
  copy("bench_true", folder_ + "/bin/true");
  copy("bench_true", folder_ + "/bundle/rootfs/true");
  copy("bench_true", folder_ + "/tree/usr/bin/true");
  has_bubblewrap_ = bubblewrap();
  has_runc_ = run_program({"sh", "-c",
                           "cd " + folder_ + "/bundle && runc spec && " +
                               "sed -i 's/\"terminal\": true/\"terminal\": false/; "
                               "s#\"sh\"#\"/true\"#' config.json"}) &&
              runc(0);
  has_nspawn_ = run_program({"sh", "-c", "touch " + folder_ + "/tree/etc/os-release"}) && nspawn(0);
}

bool Peers::has_bubblewrap() const { return told("bubblewrap", has_bubblewrap_); }
bool Peers::has_runc() const { return told("runc", has_runc_); }
bool Peers::has_nspawn() const { return told("systemd-nspawn", has_nspawn_); }

Peers::~Peers() { (void)sys::remove_tree_at(sys::kCwd, folder_); }

void Peers::copy(const std::string& program, const std::string& to) {
  constexpr std::size_t kMaxBytes = 16 << 20;
  const std::string from = testing::bin_dir() + "/" + program;
  const std::string bytes = sys::read_file_at(sys::kCwd, from, kMaxBytes).value();
  if (!sys::write_file_atomic(sys::kCwd, to, bytes, 0755)) throw std::runtime_error("copy " + to);
}

bool Peers::floor(bool network) const {
  constexpr std::uint64_t kOthers = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                                    CLONE_NEWUTS | CLONE_NEWCGROUP;
  const std::string program = folder_ + "/bin/true";
  auto child = sys::clone_child(kOthers | (network ? std::uint64_t{CLONE_NEWNET} : 0));
  if (!child) return false;
  if (!child->valid()) {
    ::execl(program.c_str(), "true", nullptr);
    ::_exit(127);
  }
  const auto ended = child->wait(nullptr);
  return ended && !ended->signalled && ended->code == 0;
}

bool Peers::bubblewrap() const {
  return run_program({"bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr",
                      "--ro-bind", folder_ + "/bin", "/input", "--tmpfs", "/tmp", "--proc", "/proc",
                      "--dev", "/dev", "/input/true"});
}

bool Peers::runc(int number) const {
  return run_program({"runc", "run", "--bundle", folder_ + "/bundle",
                      "tare-bench-" + std::to_string(::getpid()) + "-" + std::to_string(number)});
}

std::string Peers::live_name() const { return "tare-bench-live-" + std::to_string(::getpid()); }

bool Peers::runc_start() const {
  copy("bench_clock", folder_ + "/bundle/rootfs/clock");
  return has_runc() &&
         told("runc exec",
              run_program({"sh", "-c",
                           "cp -r " + folder_ + "/bundle " + folder_ + "/live && cd " + folder_ +
                               "/live && sed -i 's#\"/true\"#\"/clock\", \"wait\"#' config.json && "
                               "runc run --detach " +
                               live_name()}));
}

bool Peers::runc_exec() const { return run_program({"runc", "exec", live_name(), "/true"}); }

void Peers::runc_stop() const { run_program({"runc", "delete", "--force", live_name()}); }

bool Peers::nspawn(int number) const {
  return run_program({"systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2",
                      "--private-network", "--volatile=overlay", "--machine",
                      "tare-bench-" + std::to_string(::getpid()) + "-" + std::to_string(number),
                      "--directory", folder_ + "/tree", "/usr/bin/true"});
}

}  // namespace tare::bench
