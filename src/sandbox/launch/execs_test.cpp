#include "sandbox/launch/execs.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::sandbox {
namespace {

const std::string kId = "run_01m812hngsk8d1d69w9wnsfv1n";

struct Fixture : ::testing::Test {
  Fixture() {
    auto pair = sys::seqpacket_pair().value();
    ours = std::move(pair.first);
    theirs = std::move(pair.second);
  }
  Result<> start(std::uint32_t number, bool terminal = false, bool transient = false) {
    ExecMessage message{kId, number, terminal, false, false, transient};
    std::vector<sys::UniqueFd> fds;
    while (fds.size() < message.descriptors()) fds.push_back(null());
    return execs.start(ours.get(), null_.get(), message, std::move(fds), 1000);
  }
  sys::UniqueFd null() { return sys::open_at(sys::kCwd, "/dev/null", O_RDWR).value(); }
  std::optional<ExecTold> report(ReportKind kind, std::uint32_t number,
                                 std::vector<sys::UniqueFd> fds = {}) {
    Report report;
    report.kind = kind;
    report.exec = number;
    report.at_ns = 5'000'000;
    return execs.on_report(kId, report, std::move(fds), 9000);
  }
  std::vector<sys::UniqueFd> one(sys::UniqueFd fd) {
    std::vector<sys::UniqueFd> fds;
    fds.push_back(std::move(fd));
    return fds;
  }

  Execs execs;
  sys::UniqueFd ours, theirs, null_ = null();
};

using LaunchExecs = Fixture;

TEST_F(LaunchExecs, tare_init_is_told_with_the_descriptors_that_are_its_own) {
  ASSERT_TRUE(start(7));
  const auto message = sys::receive_message(theirs.get()).value().value();
  Command command;
  ASSERT_EQ(message.bytes.size(), sizeof command);
  std::memcpy(&command, message.bytes.data(), sizeof command);
  EXPECT_EQ(command.kind, CommandKind::exec);
  EXPECT_EQ(command.exec, 7U);
  EXPECT_EQ(message.fds.size(), 4U);  // the plan, stdin, stdout, stderr
}

TEST_F(LaunchExecs, one_starts_ends_and_is_kept_until_it_is_released) {
  ASSERT_TRUE(start(1));
  const auto started = report(ReportKind::exec_started, 1);
  ASSERT_TRUE(started && started->started);
  EXPECT_EQ(started->started->start_us, 4000U);
  ASSERT_TRUE(report(ReportKind::exec_ended, 1)->ended);
  ASSERT_EQ(execs.list(kId).size(), 1U);
  EXPECT_NE(execs.list(kId)[0].ended, nullptr);
  execs.release(1);
  EXPECT_TRUE(execs.list(kId).empty());
}

TEST_F(LaunchExecs, a_transient_one_is_kept_for_nobody) {
  ASSERT_TRUE(start(1, false, true));
  EXPECT_TRUE(execs.list(kId).empty());
  ASSERT_TRUE(report(ReportKind::exec_started, 1));
  ASSERT_TRUE(report(ReportKind::exec_ended, 1));
  EXPECT_FALSE(execs.knows(1));
}

TEST_F(LaunchExecs, reports_out_of_order_or_of_unknown_execs_are_not_believed) {
  EXPECT_FALSE(report(ReportKind::exec_started, 1));
  ASSERT_TRUE(start(1));
  EXPECT_FALSE(report(ReportKind::exec_ended, 1));
  EXPECT_FALSE(report(ReportKind::exec_started, 2));
  ASSERT_TRUE(report(ReportKind::exec_started, 1));
  EXPECT_FALSE(report(ReportKind::exec_started, 1));
  EXPECT_FALSE(report(ReportKind::exec_failed, 1));
  ASSERT_TRUE(report(ReportKind::exec_ended, 1));
  EXPECT_FALSE(report(ReportKind::exec_ended, 1));
}

TEST_F(LaunchExecs, a_descriptor_that_is_no_terminals_master_is_not_believed) {
  ASSERT_TRUE(start(1, true));
  EXPECT_FALSE(report(ReportKind::exec_started, 1));  // none at all
  EXPECT_FALSE(report(ReportKind::exec_started, 1, one(null())));
  auto two = one(null());
  two.push_back(null());
  EXPECT_FALSE(report(ReportKind::exec_started, 1, std::move(two)));
  ASSERT_TRUE(start(2));
  EXPECT_FALSE(report(ReportKind::exec_started, 2, one(null())));  // it has no terminal
  auto master = sys::open_at(sys::kCwd, "/dev/ptmx", O_RDWR | O_NOCTTY);
  ASSERT_TRUE(master);
  const auto told = report(ReportKind::exec_started, 1, one(std::move(*master)));
  ASSERT_TRUE(told && told->terminal >= 0);
  EXPECT_NE(::fcntl(told->terminal, F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(LaunchExecs, a_failure_says_whether_it_was_execve_or_a_step_before_it) {
  ASSERT_TRUE(start(1) && start(2));
  Report failed;
  failed.kind = ReportKind::exec_failed;
  failed.exec = 1;
  failed.step = 4;
  failed.error = ENOENT;
  const auto step = execs.on_report(kId, failed, {}, 0);
  EXPECT_EQ(step->ended->outcome.reason, model::EndReason::setup_failed);
  EXPECT_EQ(step->ended->failed_step, 4U);
  failed.exec = 2;
  failed.executing = 1;
  EXPECT_EQ(execs.on_report(kId, failed, {}, 0)->ended->outcome.reason,
            model::EndReason::not_found);
}

TEST_F(LaunchExecs, there_is_room_for_so_many_and_the_refusal_says_so) {
  for (std::uint32_t i = 1; i <= kMostExecs; ++i) ASSERT_TRUE(start(i)) << i;
  EXPECT_THAT(start(kMostExecs + 1).error().message, ::testing::HasSubstr("80 execs"));
}

TEST_F(LaunchExecs, a_tare_init_that_is_gone_is_an_error_of_the_exec_alone) {
  theirs.reset();
  EXPECT_FALSE(start(1));
  EXPECT_FALSE(execs.knows(1));
}

}  // namespace
}  // namespace tare::sandbox
