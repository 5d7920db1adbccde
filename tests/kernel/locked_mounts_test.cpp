// Which mounts of a live sandbox the kernel has locked, and which only the filter and the missing
// capabilities protect: as root of the host that has entered its user and mount namespaces, whom
// neither stands in the way of.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>

#include "layers.h"
#include "support/session.h"
#include "support/stepper.h"
#include "sys/fork.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;

// What `act` answers in there: 0 or an errno.
int inside_of(pid_t init, const std::function<int()>& act) {
  constexpr int kNotThere = 125, kKilled = 126;
  const sys::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, init, 0)));
  auto child = sys::fork_child();
  if (!child) return kNotThere;
  if (!child->valid())
    ::_exit(::setns(process.get(), CLONE_NEWUSER | CLONE_NEWNS) == 0 ? act() : kNotThere);
  const auto status = child->wait(nullptr);
  return status && !status->signalled ? status->code : kKilled;
}

int unmounted(pid_t init, const std::string& path) {
  return inside_of(init, [&] { return ::umount2(path.c_str(), MNT_DETACH) == 0 ? 0 : errno; });
}

struct Flag {
  const char* name;
  unsigned long shown;
  std::uint64_t attribute;
};
constexpr Flag kFlags[] = {{"ro", ST_RDONLY, MOUNT_ATTR_RDONLY},
                           {"nosuid", ST_NOSUID, MOUNT_ATTR_NOSUID},
                           {"nodev", ST_NODEV, MOUNT_ATTR_NODEV},
                           {"noexec", ST_NOEXEC, MOUNT_ATTR_NOEXEC}};

int cleared(pid_t init, const std::string& path, std::uint64_t attribute) {
  return inside_of(init, [&] {
    mount_attr change = {};
    change.attr_clr = attribute;
    return ::mount_setattr(AT_FDCWD, path.c_str(), 0, &change, sizeof change) == 0 ? 0 : errno;
  });
}

// Each restriction that it has stays.
void expect_flags_locked(pid_t init, const std::string& path) {
  struct statvfs status = {};
  const std::string outside = "/proc/" + std::to_string(init) + "/root" + path;
  ASSERT_EQ(::statvfs(outside.c_str(), &status), 0) << path;
  int has = 0;
  for (const Flag& flag : kFlags) {
    if ((status.f_flag & flag.shown) == 0) continue;
    ++has;
    EXPECT_EQ(cleared(init, path, flag.attribute), EPERM) << flag.name << " of " << path;
  }
  EXPECT_GE(has, 2) << path;
}

// A run with all that a sandbox can be shown.
class LockedMounts : public ::testing::Test {
 protected:
  void SetUp() override {
    model::SandboxSpec spec = shell_spec("echo up; sleep 1000");
    spec.uid = spec.gid = 0;
    spec.runner = make_runner(launcher_);
    spec.with_input = true;
    fs::create_directories(fs::path(launcher_.home()) / "runs" / spec.id / "input");
    live_ = launcher_.launch(spec);
    char up[3];
    ASSERT_EQ(::read(live_.out.get(), up, 3), 3);
    const std::vector<pid_t> inits = inits_of(launcher_.home());
    ASSERT_EQ(inits.size(), 1U);
    init_ = inits[0];
  }
  void TearDown() override {
    launcher_.send(sandbox::KillMessage{live_.id});
    EXPECT_EQ(launcher_.finish(std::move(live_)).ended.outcome.reason, model::EndReason::killed);
  }

  TestLauncher launcher_{TestLauncher::Home::folder, 0};
  TestLauncher::Live live_;
  pid_t init_ = 0;
};

TEST_F(LockedMounts, what_was_attached_before_the_user_namespace_gives_way_not_even_to_its_root) {
  expect_flags_locked(init_, "/");
  for (const char* path : {"/usr", "/dev", "/dev/shm", "/output", "/opt/tare/runner"}) {
    expect_flags_locked(init_, path);
    EXPECT_EQ(unmounted(init_, path), EINVAL) << path;
  }
}

// There the filter and the missing capabilities stand alone (docs/threat_model.md). One that is
// locked after all belongs into the test above, and that is better.
TEST_F(LockedMounts, what_tare_init_attaches_itself_is_not_locked) {
  for (const char* path : {"/proc/sys", "/proc/tty"})
    EXPECT_EQ(cleared(init_, path, MOUNT_ATTR_RDONLY), 0) << path;
  EXPECT_EQ(cleared(init_, "/proc", MOUNT_ATTR_NOSUID), 0);
  for (const char* path :
       {"/proc/sys", "/proc/cmdline", "/proc/fs", "/proc", "/dev/pts", "/dev/mqueue", "/input"})
    EXPECT_EQ(unmounted(init_, path), 0) << path;
}

TEST(LockedRunner, one_that_came_by_an_exchange_can_be_taken_off_and_below_it_is_the_locked_one) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  model::SandboxSpec spec = session_spec();
  spec.runner = make_runner(launcher);
  const std::string other = make_runner(launcher, 'b', "echo two\n");
  TestSession session(launcher, spec);
  launcher.send(sandbox::SwapMessage{session.id(), other});
  while (!std::holds_alternative<sandbox::SwappedMessage>(launcher.next())) {
  }
  const std::string runner = "/opt/tare/runner";
  EXPECT_EQ(session.sh("cat /opt/tare/runner/main.sh").out, "echo two\n");
  EXPECT_EQ(unmounted(session.init(), runner), 0);
  EXPECT_EQ(session.sh("cat /opt/tare/runner/main.sh").out, "echo one\n");
  EXPECT_EQ(unmounted(session.init(), runner), EINVAL);
  (void)session.kill();
}

}  // namespace
}  // namespace tare::testing
