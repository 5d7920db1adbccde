// What guards tare-init from outside of it: its files in /proc belong to nobody inside, and it dies
// with the launcher whatever it is doing, also nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/plan/plan.h"
#include "support/orphans.h"
#include "support/patience.h"
#include "support/session.h"
#include "support/stepper.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

bool has_ended(int pidfd, int timeout_ms) {
  pollfd wait = {pidfd, POLLIN, 0};
  return ::poll(&wait, 1, patience_ms(timeout_ms)) == 1;
}

bool is_stopped(pid_t pid) {
  const std::string status = sys::read_file_at(sys::kCwd,
                                               "/proc/" + std::to_string(pid) + "/status")
                                 .value_or("");
  return status.find("\nState:\tT") != std::string::npos;
}

// The launcher is killed while this tare-init stands still: it can read no end of a file, and
// nobody is left who would kill it. Nothing but PR_SET_PDEATHSIG ends it.
void expect_death_with(TestLauncher& launcher, pid_t init) {
  Orphans orphans;  // are ours to reap
  const sys::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, init, 0)));
  ASSERT_TRUE(process.valid());
  ASSERT_EQ(::kill(init, SIGSTOP), 0);
  for (int i = 0; i < patience_ms(5'000) && !is_stopped(init); ++i) ::usleep(1'000);
  ASSERT_TRUE(is_stopped(init));
  launcher.kill();
  EXPECT_TRUE(has_ended(process.get(), 10'000));
  (void)::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  EXPECT_THAT(orphans.left_after(patience_ms(10'000)), ::testing::IsEmpty());
  launcher.restart();
}

// A process that is dumpable has files of its own ids; root inside, or another host process of
// these ids, could write there.
TEST(InitGuard, its_files_in_proc_are_not_of_its_own_ids) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  TestSession session(launcher);
  const std::string folder = "/proc/" + std::to_string(session.init());
  struct stat memory = {};
  const std::string status = sys::read_file_at(sys::kCwd, folder + "/status").value_or("");
  ASSERT_EQ(::stat((folder + "/mem").c_str(), &memory), 0);
  const std::uint32_t base = session.kill().uid_base;
  EXPECT_EQ(memory.st_uid, base);
  EXPECT_NE(status.find("\nUid:\t" + std::to_string(base + sandbox::kInitUid) + "\t"),
            std::string::npos)
      << status;
}

// After its ids have changed, which clears what was asked for before.
TEST(InitGuard, it_dies_with_the_launcher_also_while_it_stands_still) {
  TestLauncher launcher(TestLauncher::Home::folder, 0);
  TestSession session(launcher);
  expect_death_with(launcher, session.init());
}

TEST(InitGuard, so_does_one_that_waits_for_a_run) {
  TestLauncher launcher(TestLauncher::Home::folder, 1);
  (void)launcher.run(shell_spec("true"));  // the pool knows its kind
  std::vector<pid_t> waiting;
  const auto one_waits = [&] {
    launcher.send(sandbox::AskPoolMessage{});
    const auto pool = std::get<sandbox::PoolMessage>(launcher.next());
    return pool.idle == 1 && (waiting = inits_of(launcher.home())).size() == 1;
  };
  for (int i = 0; i < patience_ms(5'000) && !one_waits(); ++i) ::usleep(1'000);
  ASSERT_EQ(waiting.size(), 1U);
  expect_death_with(launcher, waiting[0]);
}

}  // namespace
}  // namespace tare::testing
