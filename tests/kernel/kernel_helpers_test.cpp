// Programs that the kernel itself starts on the host, as its root and in no cgroup of ours, for
// what somebody does anywhere: the handler of crashes (core_pattern with `|`) and the loader of
// modules (kernel.modprobe). Nothing that is done inside starts one. Only on a machine of its own
// (./dev test vm): both are the whole host's, and here they are the test's.
//
// Source: core(5), proc(5); fs/coredump.c, kernel/module/kmod.c.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "attacks.h"
#include "support/patience.h"
#include "support/session.h"
#include "sys/files.h"
#include "sys/fork.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;
using model::EndReason;

// Has a setting of the kernel's name something in its folder instead.
class Helper : public ::testing::Test {
 protected:
  explicit Helper(const char* setting) : setting_(setting) {}
  void SetUp() override {
    if (::getenv("TARE_OWN_MACHINE") == nullptr)
      GTEST_SKIP() << "changes " << setting_ << ", which is the host's: ./dev test vm";
    if (!fs::exists(setting_)) GTEST_SKIP() << "this kernel has no " << setting_;
    before_ = sys::read_file_at(sys::kCwd, setting_).value();
    ASSERT_TRUE(fs::create_directory(folder_));
  }
  void TearDown() override {
    if (!before_.empty()) set(before_);
    fs::remove_all(folder_);
  }
  void set(const std::string& value) const {
    const auto file = sys::open_at(sys::kCwd, setting_, O_WRONLY);
    ASSERT_TRUE(file && sys::write_all(file->get(), value));
  }
  const std::string folder_ = "/tmp/tare-helper-" + std::to_string(::getpid());

 private:
  const char* setting_;
  std::string before_;
};

class CoreHandler : public Helper {
 protected:
  CoreHandler() : Helper("/proc/sys/kernel/core_pattern") {}
  // It makes a file named HOSTNAME.PROCESS of each crash.
  void SetUp() override {
    Helper::SetUp();
    if (!IsSkipped()) set("|/usr/bin/touch " + folder_ + "/%h.%e");
  }

  // A process of the host's that crashes.
  static void crash(const char* name, rlim_t limit) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_NAME, name, 0, 0, 0);
      const rlimit core = {limit, limit};
      ::setrlimit(RLIMIT_CORE, &core);
      ::raise(SIGSEGV);
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  std::set<std::string> handled() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename());
    return names;
  }
  bool has_handled(const std::string& end) const {
    const auto names = handled();
    return std::ranges::any_of(names, [&](const std::string& name) { return name.ends_with(end); });
  }
  // The handler may still be at work when whoever crashed is gone.
  void await_handled(const char* name) const {
    for (int i = 0; i < patience_ms(2'000) && !has_handled(name); ++i) ::usleep(10'000);
    EXPECT_TRUE(has_handled(name)) << name;
  }
};

// What the kernel does with the two limits, by which the tests below are judged.
TEST_F(CoreHandler, is_started_at_a_limit_of_0_and_not_at_1) {
  crash("at-one", sys::kNoCoreHandler);
  crash("at-none", 0);
  await_handled(".at-none");
  EXPECT_FALSE(has_handled(".at-one"));
}

TEST_F(CoreHandler, is_started_for_nothing_that_crashes_inside_whatever_limit_it_asks_for) {
  TestLauncher launcher;
  for (const auto profile :
       {model::Profile::strict, model::Profile::standard, model::Profile::build}) {
    for (const std::uint32_t uid : {0U, 1000U}) {
      for (const char* limit : {"true", "ulimit -c 0", "ulimit -c unlimited"}) {
        model::SandboxSpec spec = shell_spec(limit + std::string("; kill -SEGV $$"));
        spec.profile = profile;
        spec.uid = spec.gid = uid;
        spec.hostname = "inside";
        const RunResult result = launcher.run(spec);
        EXPECT_EQ(result.ended.outcome.reason, EndReason::signalled) << limit << result.err;
        EXPECT_EQ(result.ended.outcome.signal, SIGSEGV) << limit;
      }
    }
  }
  model::SandboxSpec spec = session_spec();
  spec.hostname = "inside";
  TestSession session(launcher, spec);
  EXPECT_EQ(session.sh("ulimit -c 0; kill -SEGV $$").outcome.signal, SIGSEGV);
  session.kill();
  crash("later", 0);
  await_handled(".later");
  for (const std::string& name : handled()) EXPECT_FALSE(name.starts_with("inside.")) << name;
}

class ModuleLoader : public Helper {
 protected:
  ModuleLoader() : Helper("/proc/sys/kernel/modprobe") {}
  // `modprobe -q -- NAME`, which the kernel waits for.
  void SetUp() override {
    Helper::SetUp();
    if (IsSkipped()) return;
    const std::string script = folder_ + "/modprobe";
    std::ofstream(script) << "#!/bin/sh\necho \"$3\" >>" << folder_ << "/asked\n";
    fs::permissions(script, fs::perms::owner_all);
    set(script);
  }
  std::string asked() const {
    return sys::read_file_at(sys::kCwd, folder_ + "/asked").value_or("nothing");
  }
};

// Outside, by which the test below is judged.
TEST_F(ModuleLoader, is_started_for_a_family_of_sockets_and_for_vlans_that_are_not_there) {
  EXPECT_LT(::socket(AF_UNSPEC, SOCK_DGRAM, 0), 0);
  const sys::UniqueFd any(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_LT(::ioctl(any.get(), SIOCGIFVLAN, nullptr), 0);
  EXPECT_EQ(asked(), "net-pf-0\n8021q\n");
}

TEST_F(ModuleLoader, is_started_for_nothing_that_a_program_asks_its_sockets_for) {
  TestLauncher launcher;
  ASSERT_EQ(launcher.run(shell_spec("true")).ended.outcome.exit_code, 0);
  const std::string before = asked();
  for (const As as : {kAgent, kRoot, kBuilder, kStrict})
    (void)expect_refused(attacks_of(launcher, "modules", as), as,
                         {"EAFNOSUPPORT", "ENODEV", "ENOPROTOOPT"});
  (void)attacks_of(launcher, "sockets", kAgent);
  EXPECT_EQ(asked(), before);
}

}  // namespace
}  // namespace tare::testing
