// A sandbox starts empty: what a program inside can see and do of the host is nothing.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/launcher.h"
#include "support/leaks.h"
#include "sys/fork.h"

namespace tare::testing {
namespace {

using model::EndReason;
using ::testing::HasSubstr;
using ::testing::Not;

// The lines of what a script says inside.
std::string inside(const std::string& script, bool as_root = false) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(script);
  if (as_root) spec.uid = spec.gid = 0;
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, EndReason::exited) << result.ended.outcome.message;
  return result.out + result.err;
}

TEST(Isolation, only_its_own_processes_are_visible) {
  EXPECT_EQ(inside("echo /proc/[0-9]*"), "/proc/2\n");
}

TEST(Isolation, the_machine_id_is_the_one_it_was_given_and_the_hosts_is_not_there) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec("cat /etc/machine-id; (echo x >>/etc/machine-id) || true");
  spec.machine_id = "0123456789abcdef0123456789abcdef";
  EXPECT_EQ(launcher.run(spec).out, spec.machine_id + "\n");
  spec.machine_id.clear();
  spec.id = "run_01aryz6s41tsv4rrffq69g5fb0";
  EXPECT_EQ(launcher.run(spec).out, "");
}

TEST(Isolation, nothing_of_the_hosts_home_root_var_or_secrets_is_there) {
  EXPECT_EQ(inside("ls -A /home /root /var /var/tmp /tmp /run /mnt /input /output 2>&1"),
            "/home:\nagent\n\n/input:\n\n/mnt:\n\n/output:\nls: cannot open directory '/root': "
            "Permission denied\n"
            "\n/run:\n\n/tmp:\n\n/var:\ntmp\n\n/var/tmp:\n");
  EXPECT_EQ(inside("ls /etc/shadow /etc/ssh /etc/sudoers /etc/fstab 2>/dev/null; echo none"),
            "none\n");
  EXPECT_EQ(inside("cut -d: -f1 /etc/passwd | tr '\\n' ' '"), "root agent nobody ");
}

TEST(Isolation, no_mount_names_the_host_or_the_tare_home) {
  const std::string mounts = inside("cat /proc/self/mountinfo");
  EXPECT_THAT(mounts, Not(HasSubstr("/tmp/tare-test")));
  EXPECT_THAT(mounts, Not(HasSubstr(" - cgroup")));
  EXPECT_THAT(mounts, Not(HasSubstr("sysfs")));
}

TEST(Isolation, the_hosts_own_folders_cannot_be_written_not_even_by_root_inside) {
  for (const bool as_root : {false, true}) {
    const std::string said = inside(
        "touch /usr/x /usr/bin/x /dev/x /proc/sys/kernel/x 2>&1; mount -o remount,rw /usr 2>&1",
        as_root);
    EXPECT_THAT(said, HasSubstr("'/usr/x': Read-only file system"));
    EXPECT_THAT(said, HasSubstr("'/dev/x': Read-only file system"));
  }
}

TEST(Isolation, the_network_is_lo_alone) {
  EXPECT_EQ(
      inside("ls /sys/class/net 2>/dev/null; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '"),
      "lo\n");
  EXPECT_EQ(inside("tail -n +2 /proc/net/route | wc -l"), "0\n");
  EXPECT_THAT(inside("python3 -c 'import socket\n"
                     "s=socket.socket()\ns.settimeout(2)\nprint(s.connect_ex((\"1.1.1.1\",80)))'"),
              HasSubstr("101"));  // ENETUNREACH
}

TEST(Isolation, the_program_has_no_capability_and_cannot_gain_one) {
  for (const bool as_root : {false, true}) {
    const std::string said = inside(
        "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t '", as_root);
    EXPECT_EQ(said,
              "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\nCapBnd:"
              "0000000000000000\n"
              "CapAmb:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n");
  }
}

TEST(Isolation, exactly_three_descriptors_are_open) {
  EXPECT_EQ(inside("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");  // 3 is ls reading the folder
}

TEST(Isolation, its_cgroups_look_like_the_root) {
  EXPECT_EQ(inside("cut -d: -f3 /proc/self/cgroup | sort -u"), "/\n");
}

TEST(Isolation, tare_init_cannot_be_touched_by_root_inside) {
  const std::string said = inside(
      "kill -9 1; kill -STOP 1; { ls /proc/1/root/ /proc/1/cwd/; cat /proc/1/maps /proc/1/mem "
      "/proc/1/environ; } 2>&1 | grep -c 'No such'; cat /proc/1/environ 2>&1; "
      "renice -n 19 1 2>&1; sleep 0.1; echo alive",
      true);
  EXPECT_THAT(said, HasSubstr("alive"));
  EXPECT_THAT(said, HasSubstr("5\n"));
  EXPECT_THAT(said, HasSubstr("not permitted"));
}

TEST(Isolation, namespaces_and_mounts_are_refused) {
  const std::string said = inside(
      "unshare -Ur true; unshare -m true; mount -t tmpfs none /tmp; chroot / true; echo end", true);
  EXPECT_THAT(said, Not(HasSubstr("succe")));
  EXPECT_THAT(said, HasSubstr("unshare failed"));
  EXPECT_THAT(said, HasSubstr("cannot change root directory"));
  EXPECT_THAT(said, HasSubstr("end"));
}

TEST(Isolation, it_writes_only_to_its_own_space_which_the_next_one_does_not_see) {
  TestLauncher launcher;
  EXPECT_EQ(
      launcher.run(shell_spec("echo secret | tee /tmp/a /home/agent/a /output/a /dev/shm/a")).out,
      "secret\n");
  EXPECT_EQ(launcher.run(shell_spec("ls -A /tmp /home/agent /output /dev/shm")).out,
            "/dev/shm:\n\n/home/agent:\n\n/output:\n\n/tmp:\n");
}

TEST(Isolation, what_it_leaves_in_output_comes_back_as_a_folder) {
  TestLauncher launcher;
  const RunResult result = launcher.run(shell_spec("umask 077; echo report > /output/report.md"));
  ASSERT_TRUE(result.ended.with_output);
  const int file = ::openat(result.output.get(), "report.md", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  EXPECT_EQ(read_to_end(file), "report\n");
  struct stat status = {};
  ASSERT_EQ(::fstat(file, &status), 0);
  EXPECT_EQ(status.st_uid, result.ended.uid_base + 1000);  // an id that no host user has
  ::close(file);
}

// What an ordinary user of the host can do about a setuid-root file that a sandbox has made, by
// every path that leads to it: the launcher's and the sandbox's view of the file system, and the
// home.
TEST(Isolation, an_unprivileged_host_user_cannot_reach_a_setuid_file_of_a_sandbox) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(
      "cp /bin/sh /output/sh; chmod 4755 /output/sh; chmod 777 /output; echo made; sleep 1000");
  spec.uid = spec.gid = 0;
  auto live = launcher.launch(spec);
  char made[4];
  ASSERT_EQ(::read(live.out.get(), made, 4), 4);
  std::vector<int> pids = processes_of(launcher.home());
  ASSERT_FALSE(pids.empty());
  pids.push_back(launcher.pid());
  auto child = sys::fork_child();
  ASSERT_TRUE(child);
  if (!child->valid()) {
    int reached = 0;
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(99);
    for (const int pid : pids) {
      const std::string root = "/proc/" + std::to_string(pid) + "/root";
      for (const char* path : {"/output/sh", "/stage/root/output/sh", "/stage/scratch/output/sh"}) {
        if (::access((root + path).c_str(), F_OK) == 0) ++reached;
      }
      if (::open(root.c_str(), O_PATH) >= 0) ++reached;
    }
    for (const char* folder : {"/launcher", "/store", "/runs"}) {
      if (::open((launcher.home() + folder).c_str(), O_RDONLY | O_DIRECTORY) >= 0) ++reached;
    }
    ::_exit(reached);
  }
  const auto status = child->wait(nullptr);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0);
  launcher.send(sandbox::KillMessage{live.id});
  const RunResult result = launcher.finish(std::move(live));
  // And even by descriptor: nosuid, and owned by an id without any right.
  struct stat file = {};
  ASSERT_EQ(::fstatat(result.output.get(), "sh", &file, 0), 0);
  EXPECT_EQ(file.st_uid, result.ended.uid_base);
  EXPECT_NE(file.st_uid, 0U);
}

TEST(Isolation, the_build_profile_has_its_five_rights_inside_and_no_more) {
  TestLauncher launcher;
  model::SandboxSpec spec = shell_spec(
      "grep CapEff /proc/self/status; touch /tmp/f && chown 12:34 /tmp/f && stat -c %u:%g /tmp/f; "
      "mknod /tmp/n c 1 3 2>&1; mount -t tmpfs x /mnt 2>&1; chroot / /bin/true && echo chroot");
  spec.uid = spec.gid = 0;
  spec.profile = model::Profile::build;
  const RunResult result = launcher.run(spec);
  EXPECT_THAT(result.out,
              HasSubstr("00000000000400cb"));  // CHOWN DAC_OVERRIDE FOWNER SETGID SETUID SYS_CHROOT
  EXPECT_THAT(result.out, HasSubstr("12:34"));
  EXPECT_THAT(result.out, HasSubstr("Operation not permitted"));
  EXPECT_THAT(result.out, HasSubstr("chroot"));
  EXPECT_THAT(result.out, HasSubstr("/mnt: permission denied"));
}

}  // namespace
}  // namespace tare::testing
