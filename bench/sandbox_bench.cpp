// What a sandbox costs: the same static `true` in Tare, in bubblewrap and in runc, measured in turn
// in one run, so that whatever else the machine does falls on all of them alike. ./dev bench
// sandbox [--json] [--n 200]
//
//   fresh       Tare: launch message sent -> end received, all namespaces, overlay, cgroups and
//   limits; nothing pooled.
//               Peers: fork -> exit of `bwrap --unshare-all ...` and of `runc run`.
//   start       the part of `fresh` up to the program's execve, as the launcher measures it (no
//   peer tells it). kill_reap   kill message sent -> end received, of a sandbox with 20 processes.
//   cli         whole process `tare run --env host -- /bin/true` against whole process `bwrap ...
//   /bin/true`
//               (needs a running daemon: started here on a home of its own).
#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "support/launcher.h"
#include "sys/files.h"

extern char** environ;

namespace tare::bench {
namespace {

using testing::TestLauncher;

struct Samples {
  std::vector<double> us;
  int failed = 0;

  double percentile(double p) {
    if (us.empty()) return 0;
    std::sort(us.begin(), us.end());
    return us[std::min(us.size() - 1,
                       static_cast<std::size_t>(p * static_cast<double>(us.size())))];
  }
};

struct Peer {
  std::string name;
  Samples samples;
};

struct Options {
  bool json = false;
  int n = 200;
};

double timed(const std::function<bool()>& work, int& failed) {
  const auto begin = std::chrono::steady_clock::now();
  if (!work()) ++failed;
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
      .count();
}

void measure(Samples& samples, const std::function<bool()>& work) {
  const double us = timed(work, samples.failed);
  samples.us.push_back(us);
}

bool run_program(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
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

void print_row(const Options& options, const std::string& name, Samples& own, Peer* peer) {
  const double p50 = own.percentile(0.5);
  const double p99 = own.percentile(0.99);
  const double peer_p50 = peer != nullptr ? peer->samples.percentile(0.5) : 0;
  const double ratio = peer != nullptr && p50 > 0 ? peer_p50 / p50 : 0;
  const auto n = own.us.size();
  if (options.json) {
    fmt::print("{{\"name\":\"{}\",\"n\":{},\"p50_us\":{:.0f},\"p99_us\":{:.0f},\"failed\":{},",
               name, n, p50, p99, own.failed);
    if (peer == nullptr) {
      fmt::print("\"peer\":null,\"peer_p50_us\":null,\"ratio\":null}}\n");
    } else {
      fmt::print("\"peer\":\"{}\",\"peer_p50_us\":{:.0f},\"peer_failed\":{},\"ratio\":{:.2f}}}\n",
                 peer->name, peer_p50, peer->samples.failed, ratio);
    }
  } else {
    fmt::print("{:<10} n {:>4}  p50 {:>8.0f} us  p99 {:>8.0f} us  failed {}", name, n, p50, p99,
               own.failed);
    if (peer != nullptr) {
      fmt::print("   {:<10} p50 {:>8.0f} us  failed {}  ratio {:.2f}", peer->name, peer_p50,
                 peer->samples.failed, ratio);
    }
    fmt::print("\n");
  }
  std::fflush(stdout);
}

// A folder with the program, in the run's input folder for Tare and bound by bubblewrap, and a
// bundle for runc.
class Programs {
 public:
  Programs() {
    std::string path = "/tmp/tare-bench-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = path;
    for (const char* sub : {"/bin", "/bundle", "/bundle/rootfs"})
      ::mkdir((folder_ + sub).c_str(), 0755);
    copy(folder_ + "/bin/true");
    copy(folder_ + "/bundle/rootfs/true");
    has_runc_ = run_program({"sh", "-c",
                             "cd " + folder_ + "/bundle && runc spec && " +
                                 "sed -i 's/\"terminal\": true/\"terminal\": false/; "
                                 "s#\"sh\"#\"/true\"#' config.json"});
  }
  ~Programs() { (void)sys::remove_tree_at(sys::kCwd, folder_); }
  bool has_runc() const { return has_runc_; }

  static void copy(const std::string& to) {
    const std::string bytes = sys::read_file_at(sys::kCwd,
                                                std::string(TARE_BIN_DIR) + "/bench_true", 16 << 20)
                                  .value();
    if (!sys::write_file_atomic(sys::kCwd, to, bytes, 0755)) throw std::runtime_error("copy " + to);
  }
  bool bubblewrap() const {
    return run_program({"bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr",
                        "--ro-bind", folder_ + "/bin", "/input", "--tmpfs", "/tmp", "--proc",
                        "/proc", "--dev", "/dev", "/input/true"});
  }
  bool runc(int number) const {
    return run_program({"runc", "run", "--bundle", folder_ + "/bundle",
                        "tare-bench-" + std::to_string(::getpid()) + "-" + std::to_string(number)});
  }

 private:
  std::string folder_;
  bool has_runc_ = false;
};

// The input folder must be there before the launch: made outside the measured time.
void fresh_rows(const Options& options) {
  TestLauncher launcher;
  const Programs programs;
  Samples own;
  Samples start;
  Peer bubblewrap{"bubblewrap", {}};
  Peer runc{"runc", {}};
  for (int i = 0; i < options.n; ++i) {
    model::SandboxSpec spec = testing::host_spec({"/input/true"});
    spec.with_input = true;
    const std::string run = launcher.home() + "/runs/" + spec.id;
    ::mkdir(run.c_str(), 0755);
    ::mkdir((run + "/input").c_str(), 0755);
    Programs::copy(run + "/input/true");
    measure(own, [&] {
      const auto result = launcher.run(spec);
      if (result.started) start.us.push_back(static_cast<double>(result.started->start_us));
      return result.ended.outcome.reason == model::EndReason::exited &&
             result.ended.outcome.exit_code == 0;
    });
    measure(bubblewrap.samples, [&] { return programs.bubblewrap(); });
    if (programs.has_runc()) measure(runc.samples, [&] { return programs.runc(i); });
  }
  print_row(options, "fresh", own, &bubblewrap);
  if (programs.has_runc()) print_row(options, "fresh", own, &runc);
  print_row(options, "start", start, nullptr);
}

void kill_row(const Options& options) {
  TestLauncher launcher;
  Samples own;
  for (int i = 0; i < std::max(10, options.n / 5); ++i) {
    auto live = launcher.launch(
        testing::shell_spec("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do sleep "
                            "100 & done; echo up; wait"));
    char up[3];
    if (::read(live.out.get(), up, 3) != 3) continue;
    measure(own, [&] {
      launcher.send(sandbox::KillMessage{live.id});
      return launcher.finish(std::move(live)).ended.outcome.reason == model::EndReason::killed;
    });
  }
  print_row(options, "kill_reap", own, nullptr);
}

void cli_row(const Options& options) {
  std::string home = "/tmp/tare-bench-XXXXXX";
  if (::mkdtemp(home.data()) == nullptr) throw std::runtime_error("mkdtemp");
  ::chmod(home.c_str(), 0755);  // the daemon's user must reach its part of the home
  const std::string tare = std::string(TARE_BIN_DIR) + "/tare";
  if (!run_program({tare, "--home", home, "up", "--detach", "--port", "0"})) {
    throw std::runtime_error("tare up failed: try " + tare + " --home " + home + " up");
  }
  Samples own;
  Peer bubblewrap{"bubblewrap", {}};
  for (int i = 0; i < options.n; ++i) {
    measure(own, [&] {
      return run_program({tare, "--home", home, "run", "--env", "host", "--", "/bin/true"});
    });
    measure(bubblewrap.samples, [] {
      return run_program({"bwrap",     "--unshare-all", "--ro-bind", "/usr",      "/usr",
                          "--symlink", "usr/bin",       "/bin",      "--symlink", "usr/lib",
                          "/lib",      "--symlink",     "usr/lib64", "/lib64",    "--tmpfs",
                          "/tmp",      "--proc",        "/proc",     "--dev",     "/dev",
                          "/bin/true"});
    });
  }
  run_program({tare, "--home", home, "down"});
  print_row(options, "cli", own, &bubblewrap);
  (void)sys::remove_tree_at(sys::kCwd, home);
}

}  // namespace
}  // namespace tare::bench

int main(int argc, char** argv) {
  using namespace tare::bench;
  Options options;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      options.json = true;
    } else if (std::strcmp(argv[i], "--n") == 0 && i + 1 < argc) {
      options.n = std::max(1, std::atoi(argv[++i]));
    } else {
      std::fprintf(stderr, "usage: ./dev bench sandbox [--json] [--n COUNT]\n");
      return 64;
    }
  }
  if (::geteuid() != 0) {
    std::fprintf(stderr, "bench sandbox: must be root, to make sandboxes\n");
    return 77;
  }
  fresh_rows(options);
  kill_row(options);
  cli_row(options);
  return 0;
}
