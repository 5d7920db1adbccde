// What outlives a run or a sandbox: nothing (ATTACKS.md S33 to S35), also after many of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "attacks.h"
#include "support/leaks.h"
#include "support/stepper.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;
using model::EndReason;

// Three that make processes for as long as they live. The program itself outlives a fork that the
// limit of processes refuses: else it would end by itself on a machine that reaches it in time.
const char* const kForkers[] = {
    // Daemons: forked twice, of sessions of their own, deaf to what asks them to end.
    "for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(s, signal.SIG_IGN)\n"
    "while True:\n"
    "  try:\n"
    "    pid = os.fork()\n"
    "    if pid: os.waitpid(pid, 0)\n"
    "    else:\n"
    "      os.setsid()\n"
    "      if os.fork() == 0: time.sleep(100)\n"
    "      os._exit(0)\n"
    "  except OSError:\n"
    "    if os.getpid() != main: os._exit(0)\n",
    // Generations: each process makes others, and the older ones give way to the younger.
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    "while True:\n"
    "  try:\n"
    "    if os.fork() and os.getpid() != main and random.random() < 0.5: os._exit(0)\n"
    "  except OSError: time.sleep(0.001)\n",
    // All signals blocked, each in a session of its own.
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
    "while True:\n"
    "  try:\n"
    "    if os.fork() == 0: os.setsid()\n"
    "  except OSError: pass\n",
};

TEST(Attack, S33_what_forks_away_while_it_is_killed_is_killed) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);  // nobody else's processes
  for (const char* forker : kForkers) {
    for (const bool as_root : {false, true}) {
      model::SandboxSpec spec = shell_spec({});
      spec.argv = {"/usr/bin/python3", "-c",
                   std::string("import os, random, signal, sys, time\n"
                               "main = os.getpid()\nos.write(1, b'up\\n')\n") +
                       forker};
      if (as_root) spec.uid = spec.gid = 0;
      spec.limits.pids = 64;
      auto live = launcher.launch(spec);
      char up[3];
      ASSERT_EQ(::read(live.out.get(), up, 3), 3);
      ::usleep(50'000);
      launcher.send(sandbox::KillMessage{live.id});
      EXPECT_EQ(launcher.finish(std::move(live)).ended.outcome.reason, EndReason::killed);
      for (const int pid : processes_of(launcher.home())) EXPECT_TRUE(is_init(pid)) << pid;
    }
  }
}

// A kill of a run that has ended, whose processes' numbers somebody else may have by now.
TEST(Attack, S33_a_late_kill_reaches_nobody_else) {
  TestLauncher launcher;
  const RunResult first = launcher.run(shell_spec("exit 3"));
  auto live = launcher.launch(shell_spec("sleep 0.2; exit 4"));
  for (int i = 0; i < 20; ++i) launcher.send(sandbox::KillMessage{first.ended.id});
  EXPECT_EQ(launcher.finish(std::move(live)).ended.outcome.exit_code, 4);
}

// What a tenant could leave, by every way to leave something; and what the next one finds.
TEST(Attack, S35_the_next_tenant_finds_nothing_of_the_last_one) {
  TestLauncher launcher(TestLauncher::Home::folder, 1);
  const char* const kLeave =
      "import os, socket, sys\nfrom ctypes import CDLL\nc = CDLL(None)\n"
      "for d in ('/tmp', '/home/agent', '/output', '/dev/shm', '/dev/mqueue', '/var/tmp'):\n"
      "  open(d + '/left', 'w').write('mine')\n"
      "for i in range(3): c.shmget(4711 + i, 4096, 0o1600); c.semget(4711 + i, 1, 0o1600); "
      "c.msgget(4711 + i, 0o1600)\n"
      "s = socket.create_server(('127.0.0.1', 4711))\n"
      "for i in range(20):\n"
      "  a = socket.create_connection(('127.0.0.1', 4711)); b, _ = s.accept()\n"
      "  b.close(); a.close()\n"
      "u = socket.socket(socket.AF_UNIX); u.bind('\\0left'); u.listen()\n"
      "v = socket.socket(socket.AF_UNIX); v.bind('/tmp/left.sock')\n"
      "w = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); w.bind(('127.0.0.1', 4712))\n"
      "if os.fork() == 0:\n  os.setsid(); c.pause()\n"
      "print(open('/proc/net/tcp').read().count('0100007F:1267'))\n";
  const char* const kLook =
      "ls -A /tmp /home/agent /output /dev/shm /dev/mqueue /var/tmp | grep -v : | grep . ; "
      "tail -q -n +2 /proc/sysvipc/* /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/unix "
      "/proc/net/route /proc/net/arp; cat /proc/locks; cat /proc/net/nf_conntrack 2>/dev/null; "
      "env | grep -v -E '^(PATH|HOME|LANG|TZ|PWD|SHLVL|OLDPWD|_)='; echo nothing";
  for (const bool as_root : {false, true}) {
    model::SandboxSpec first = host_spec({"python3", "-c", kLeave});
    first.env.push_back("SECRET=mine");
    if (as_root) first.uid = first.gid = 0;
    const RunResult left = launcher.run(first);
    EXPECT_GE(std::atoi(left.out.c_str()), 20) << left.out << left.err;  // in TIME_WAIT, too
    model::SandboxSpec next = shell_spec(kLook);
    if (as_root) next.uid = next.gid = 0;
    EXPECT_EQ(launcher.run(next).out, "nothing\n");
  }
}

// ---- Many

int many() {
  const char* wanted = std::getenv("TARE_MANY");
  return wanted == nullptr ? 500 : std::atoi(wanted);
}

std::uint64_t number_after(const std::string& text, const std::string& key) {
  const std::size_t at = text.find(key);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + key.size(), nullptr, 10);
}

std::string text_of(const std::string& path) {
  return sys::read_file_at(sys::kCwd, path, std::size_t{16} << 20).value_or("");
}

long open_files_of(pid_t pid) {
  std::error_code unreadable;
  const fs::directory_iterator folder("/proc/" + std::to_string(pid) + "/fd", unreadable);
  return std::distance(fs::begin(folder), fs::end(folder));
}

long lines_of(const std::string& path) { return std::ranges::count(text_of(path), '\n'); }

// What there is at rest. Exact: what is the launcher's own. The kernel's, of the whole machine:
// others change them, too, so they are told, and held to a slack per sandbox.
struct AtRest {
  std::map<std::string, long> exact;
  std::map<std::string, long> kernel;
};

AtRest at_rest(const TestLauncher& launcher) {
  AtRest now;
  now.exact["files open in the launcher"] = open_files_of(launcher.pid());
  now.exact["mounts of the launcher"] = lines_of("/proc/" + std::to_string(launcher.pid()) +
                                                 "/mountinfo");
  const auto makers = makers_of(launcher.pid());
  now.exact["makers"] = static_cast<long>(makers.size());
  for (const pid_t pid : makers) {
    now.exact["mounts of the makers"] += lines_of("/proc/" + std::to_string(pid) + "/mountinfo");
  }
  now.exact["children"] = static_cast<long>(children_of(launcher.pid()).size());
  now.exact["processes"] = static_cast<long>(processes_of(launcher.home()).size());
  now.exact["cgroups"] = static_cast<long>(sandbox_cgroups_of(launcher.home()).size());
  now.exact["loop devices"] = static_cast<long>(loops_on_file_system_of(launcher.home()).size());
  struct statvfs status = {};
  ::statvfs(launcher.home().c_str(), &status);
  now.exact["files of the home"] = static_cast<long>(status.f_files - status.f_ffree);
  const std::string memory = text_of("/proc/meminfo");
  for (const char* key : {"SUnreclaim:", "Percpu:", "KernelStack:", "PageTables:"})
    now.kernel[std::string(key) + " KiB"] = static_cast<long>(number_after(memory, key));
  const std::string slabs = text_of("/proc/slabinfo");
  for (const char* name : {"\nnet_namespace ", "\nuser_namespace ", "\npid_namespace ",
                           "\nmnt_cache ", "\ntask_struct ", "\nuts_namespace "})
    now.kernel[std::string(name).substr(1) + "objects"] = static_cast<long>(
        number_after(slabs, name));
  std::istringstream groups(text_of("/proc/cgroups"));
  for (std::string name, hierarchy, count, on; groups >> name >> hierarchy >> count >> on;) {
    if (name == "memory" || name == "pids")
      now.kernel[name + " cgroups, those of the dead, too"] = std::atol(count.c_str());
  }
  return now;
}

// The kernel takes down a moment later what a sandbox was; nobody else's counts.
AtRest settled(const TestLauncher& launcher, const AtRest* wanted) {
  AtRest now = at_rest(launcher);
  for (int i = 0; wanted != nullptr && i < 500 && now.exact != wanted->exact; ++i) {
    ::usleep(20'000);
    now = at_rest(launcher);
  }
  return now;
}

TEST(Leaks, many_sandboxes_leave_nothing_behind) {
  TestLauncher launcher(TestLauncher::Home::below_a_mount, 4);
  const model::SandboxSpec spec = shell_spec("echo x > /tmp/x; (setsid sleep 100 &) ; exit 0");
  constexpr int kAtOnce = 20;
  const auto run = [&](int count) {
    for (int done = 0; done < count; done += kAtOnce) {
      const auto took = launcher.burst(spec, kAtOnce);
      ASSERT_EQ(std::ranges::count(took, -1.0), 0) << "after " << done;
    }
  };
  run(3 * kAtOnce);  // what is made once is there
  ::sleep(1);
  const AtRest before = settled(launcher, nullptr);
  run(many());
  const AtRest after = settled(launcher, &before);
  for (const auto& [what, count] : before.exact) EXPECT_EQ(after.exact.at(what), count) << what;
  for (const auto& [what, count] : before.kernel) {
    std::printf("%-45s %8ld before, %8ld after %d sandboxes\n", what.c_str(), count,
                after.kernel.at(what), many());
  }
  // Of the whole machine, so only many show what is ours: 1 KiB a sandbox would be a leak; 32 MiB
  // are what others may do meanwhile, and what the kernel keeps of namespaces that are on their way
  // out.
  if (many() < 5000) return;
  const long memory = after.kernel.at("SUnreclaim: KiB") - before.kernel.at("SUnreclaim: KiB");
  EXPECT_LT(memory, 32'768L + many());
}

}  // namespace
}  // namespace tare::testing
