// The runner of a live session is exchanged: while it stands still, with nothing left of what the
// old one had started, and never by halves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "attacks.h"
#include "layers.h"
#include "support/leaks.h"
#include "support/patience.h"
#include "support/session.h"
#include "support/stepper.h"

namespace tare::testing {
namespace {

using model::EndReason;
using ::testing::HasSubstr;

class Swap : public ::testing::Test {
 protected:
  void SetUp() override {
    one_ = make_runner(launcher_, 'a', "one\n");
    two_ = make_runner(launcher_, 'b', "two\n");
  }
  model::SandboxSpec spec(std::uint32_t uid = 1000) const {
    model::SandboxSpec spec = session_spec();
    spec.uid = spec.gid = uid;
    spec.runner = one_;
    return spec;
  }
  sandbox::SwappedMessage swapped() {
    for (;;) {
      auto message = launcher_.next();
      if (auto* answer = std::get_if<sandbox::SwappedMessage>(&message)) return std::move(*answer);
    }
  }
  sandbox::SwappedMessage swap(const std::string& id, const std::string& runner) {
    launcher_.send(sandbox::SwapMessage{id, runner});
    return swapped();
  }
  // Nobody makes anything, and nobody has anything to say.
  void settle() {
    ::usleep(static_cast<useconds_t>(patience_ms(60)) * 1000);
    while (launcher_.has_message()) (void)launcher_.next();
  }
  static std::string shown(TestSession& session) {
    return session.sh("cat /opt/tare/runner/main.sh").out;
  }

  TestLauncher launcher_{TestLauncher::Home::folder, 0};  // nothing is made in between
  std::string one_, two_;
};

TEST_F(Swap, the_new_one_is_shown_files_stay_and_nothing_that_ran_goes_on) {
  TestSession session(launcher_, spec());
  EXPECT_EQ(session.sh("echo kept > file; cat /opt/tare/runner/main.sh").out, "one\n");
  ExecHandle old = session.start(
      shell_exec("setsid sh -c 'exec 3</opt/tare/runner/main.sh; echo up; sleep 1000' & wait"));
  char up[3];
  ASSERT_EQ(::read(old.out.get(), up, 3), 3);
  launcher_.send(sandbox::SwapMessage{session.id(), two_});
  const auto ended = session.ended(
      old.number);  // takes messages; the answer is among them, or next
  EXPECT_EQ(ended.outcome.reason, EndReason::signalled);
  EXPECT_EQ(ended.outcome.signal, SIGKILL);
  EXPECT_EQ(shown(session), "two\n");
  EXPECT_EQ(session.sh("cat file; ls /proc | grep -c '^[0-9]'").out.substr(0, 5), "kept\n");
  EXPECT_EQ(session.sh("grep -c /opt/tare/runner /proc/self/mountinfo").out, "2\n");
  EXPECT_THAT(session.sh("grep /opt/tare/runner /proc/self/mountinfo | tail -1").out,
              HasSubstr("ro,nosuid,nodev"));
  (void)session.kill();
}

// Whether the answer of a trial elsewhere holds for it: its environment is what it was made with.
TEST_F(Swap, whether_a_session_has_changed_its_environment_is_told_with_it) {
  struct Row {
    const char* script;
    bool as_made;
  };
  const Row rows[] = {
      {"true", true},
      {"echo x > /home/agent/f; mkdir -p /tmp/a /home/agent/.local; echo x > /output/f", true},
      {"mkdir -p /var/tmp/a", true},
      {"rm -rf /home/agent; ln -s /tmp /home/agent", true},
      {"echo one > /etc/hostname", true},
      {"mkdir /new", false},
      {"echo /tmp/x.so > /etc/ld.so.preload", false},
      {"rm /etc/passwd", false},
      {"chmod 700 /etc", false},
      {"chmod 700 /", false},
      {"mkdir -p /opt/other", false},
      {"touch /opt/tare/file", false},
      {"mkdir -p /home/other", false},
      {"mkdir -p /var/lib/x", false},
      {"mv /etc /etc2; mkdir /etc", false},
  };
  for (const Row& row : rows) {
    TestSession session(launcher_, spec(0));
    const ExecResult changed = session.sh(row.script);
    EXPECT_EQ(changed.outcome.exit_code, 0) << row.script << ": " << changed.err;
    const auto answer = swap(session.id(), two_);
    EXPECT_EQ(answer.error, "") << row.script;
    EXPECT_EQ(answer.as_made, row.as_made) << row.script;
    EXPECT_EQ(shown(session), "two\n");
    (void)session.kill();
  }
}

TEST_F(Swap, what_it_has_changed_in_former_lives_counts_too) {
  namespace fs = std::filesystem;
  for (const auto& [digit, path, as_made] :
       {std::tuple('c', "home/agent/file", true), std::tuple('d', "srv/file", false),
        std::tuple('e', "", false)}) {  // is not there
    const std::string hex(64, digit);
    const fs::path root = fs::path(launcher_.home()) / "store/layers" / hex / "root";
    if (*path != '\0') {
      fs::create_directories((root / path).parent_path());
      std::ofstream(root / path) << "x";
    }
    TestSession session(launcher_, spec());
    launcher_.send(sandbox::SwapMessage{session.id(), two_, {"sha256:" + hex}});
    const auto answer = swapped();
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.as_made, as_made) << path;
    (void)session.kill();
  }
}

TEST_F(Swap, as_often_as_one_likes_and_never_more_than_two_are_mounted) {
  TestSession session(launcher_, spec());
  for (int i = 0; i < 10; ++i) {
    const auto answer = swap(session.id(), i % 2 == 0 ? two_ : one_);
    ASSERT_EQ(answer.error, "");
    EXPECT_EQ(shown(session), i % 2 == 0 ? "two\n" : "one\n");
    EXPECT_EQ(session.sh("grep -c /opt/tare/runner /proc/self/mountinfo").out, "2\n");
  }
  (void)session.kill();
}

TEST_F(Swap, what_has_been_exchanged_gives_way_to_no_attack_either) {
  TestSession session(launcher_, spec(0));
  ASSERT_EQ(swap(session.id(), two_).error, "");
  const ExecResult attack = session.run(exec_spec({"/opt/tare/runner/attack", "runner"}));
  EXPECT_THAT(attack.out, HasSubstr("umount 2: E"));
  EXPECT_THAT(attack.out, Not(HasSubstr(": DONE")));
  EXPECT_EQ(shown(session), "two\n");
  (void)session.kill();
}

TEST_F(Swap, what_cannot_begin_changes_nothing) {
  TestSession session(launcher_, spec());
  ExecHandle runs = session.start(shell_exec("echo up; read x; cat /opt/tare/runner/main.sh"),
                                  true);
  char up[3];
  ASSERT_EQ(::read(runs.out.get(), up, 3), 3);
  const auto absent = swap(session.id(), "sha256:" + std::string(64, 'e'));
  EXPECT_THAT(absent.error, HasSubstr("runner"));
  EXPECT_FALSE(absent.touched);
  EXPECT_FALSE(swap(fresh_run_id(), two_).touched);
  EXPECT_EQ(session.finish(std::move(runs), "go\n").out, "one\n");  // it has not been killed
  (void)session.kill();
  TestSession without(launcher_);
  EXPECT_THAT(swap(without.id(), two_).error, HasSubstr("without a runner"));
  (void)without.kill();
}

// Root inside may put a symlink where the folders were, if it finds a way to; it does not.
TEST_F(Swap, names_inside_lead_nowhere_else) {
  TestSession session(launcher_, spec(0));
  (void)session.sh(
      "mv /opt /opt2; mv /opt/tare /opt/old; ln -s /tmp /opt/tare; mkdir -p /tmp/runner");
  ASSERT_EQ(swap(session.id(), two_).error, "");
  EXPECT_EQ(shown(session), "two\n");
  (void)session.kill();
}

// Whoever waits for the answer gets one, also when the sandbox is gone before its maker has any.
TEST_F(Swap, a_kill_meanwhile_ends_it_and_the_swap_is_answered) {
  for (int i = 0; i < 12; ++i) {
    TestSession session(launcher_, spec());
    launcher_.send(sandbox::SwapMessage{session.id(), two_});
    ::usleep(static_cast<useconds_t>(400 * (i / 2)));
    launcher_.send(sandbox::KillMessage{session.id()});
    bool answered = false, over = false;
    while (!answered || !over) {
      auto message = launcher_.next();
      answered = answered || std::holds_alternative<sandbox::SwappedMessage>(message);
      const auto* end = std::get_if<sandbox::EndedMessage>(&message);
      over = over || end != nullptr;
      // Half of them are released while the maker may still be at work.
      if (end != nullptr && i % 2 == 0) launcher_.send(sandbox::ReleaseMessage{session.id()});
    }
    if (i % 2 == 1) launcher_.send(sandbox::ReleaseMessage{session.id()});
  }
}

TEST_F(Swap, a_lost_tared_meanwhile_leaves_it_whole) {
  TestSession session(launcher_, spec());
  launcher_.send(sandbox::SwapMessage{session.id(), two_});
  launcher_.disconnect();
  ::usleep(50'000);
  launcher_.connect();
  (void)session.list();
  EXPECT_EQ(shown(session), "two\n");
  (void)session.kill();
}

// What is done to whoever is held before a system call of the exchange.
struct Fault {
  const char* name;
  Stepped who;
  int error;  // 0: it is killed; else the call fails with this errno
};
constexpr Fault kFaults[] = {
    {"the_maker_is_killed", Stepped::maker, 0},
    {"the_maker_is_refused_a_call", Stepped::maker, EIO},
    {"the_process_that_mounts_is_killed", Stepped::helper, 0},
    {"the_process_that_mounts_is_refused_a_call", Stepped::helper, EIO},
    {"the_process_that_mounts_has_no_memory", Stepped::helper, ENOMEM},
};

class SwapFault : public Swap, public ::testing::WithParamInterface<Fault> {
 protected:
  struct Seen {
    bool held = false;  // false: there is no call of that number
    bool ended = false;
  };
  // At its `number`-th call.
  Seen meet(int number);
};

SwapFault::Seen SwapFault::meet(int number) {
  const Fault& fault = GetParam();
  Seen seen;
  TestSession session(launcher_, spec());
  ExecHandle runs = session.start(shell_exec("echo up; read x; cat /opt/tare/runner/main.sh"),
                                  true);
  char up[3];
  EXPECT_EQ(::read(runs.out.get(), up, 3), 3);
  settle();
  std::optional<Stepper> stepper(std::in_place, launcher_.pid(), fault.who);
  launcher_.send(sandbox::SwapMessage{session.id(), two_});
  // A maker is through when it asks for its next order.
  const auto stop = stepper->run_to(number, [&](const Stop& held) {
    return fault.who == Stepped::maker && held.call == SYS_recvmsg;
  });
  const bool through = fault.who == Stepped::maker && stop && stop->call == SYS_recvmsg;
  seen.held = stop && !through;
  // close(2) frees its descriptor whatever it answers.
  const bool can_fail = stop && stop->call != SYS_close;
  if (seen.held && fault.error != 0) {
    if (can_fail) stepper->refuse(fault.error);
  } else if (seen.held) {
    EXPECT_EQ(::kill(stop->pid, SIGKILL), 0);
    EXPECT_TRUE(stepper->dies(20'000));
  }
  stepper.reset();
  const std::string where = stop ? stop->text() : "nowhere";
  SCOPED_TRACE(where);
  const auto answer = swapped();
  if (!answer.error.empty() && answer.touched) {
    seen.ended = true;
    const auto end = session.wait_end();
    EXPECT_EQ(end.outcome.reason, EndReason::setup_failed);
    EXPECT_THAT(end.outcome.message, HasSubstr("the runner could not be changed"));
    return seen;
  }
  if (!answer.error.empty()) {
    EXPECT_EQ(session.finish(std::move(runs), "go\n").out, "one\n");
    EXPECT_EQ(shown(session), "one\n");
  } else {
    EXPECT_EQ(session.ended(runs.number).outcome.signal, SIGKILL);
    EXPECT_EQ(shown(session), "two\n");
  }
  (void)session.kill();
  return seen;
}

// Before each system call of the exchange, one after the other. The session goes on with the old
// runner and all that ran in it, or with the new one and nothing, or is ended.
TEST_P(SwapFault, before_each_call_leaves_no_half) {
  constexpr int kMostCalls = 500;
  int number = 1, ended = 0;
  for (; number < kMostCalls; ++number) {
    const Seen seen = meet(number);
    ended += seen.ended ? 1 : 0;
    if (!seen.held) break;
  }
  RecordProperty("calls", number);
  EXPECT_GT(number, 10);
  EXPECT_LT(number, kMostCalls);
  EXPECT_GT(ended, 1);
}

INSTANTIATE_TEST_SUITE_P(All, SwapFault, ::testing::ValuesIn(kFaults),
                         [](const auto& fault) { return std::string(fault.param.name); });

TEST_F(Swap, sigkill_of_the_launcher_before_each_of_its_calls_ends_all_that_ran) {
  constexpr int kMostCalls = 200;
  const int step = ::getenv("TARE_KILL_MATRIX") == nullptr ? 4 : 1;
  int calls = 0;
  for (int number = 1; number < kMostCalls; number += step) {
    TestSession session(launcher_, spec());
    ASSERT_EQ(session.sh("(sleep 1000 >/dev/null 2>&1 &)").outcome.exit_code, 0);
    settle();
    std::optional<Stepper> stepper(std::in_place, launcher_.pid(), Stepped::launcher);
    launcher_.send(sandbox::SwapMessage{session.id(), two_});
    const auto stop = stepper->run_to(number, [&](const Stop&) { return launcher_.has_message(); });
    launcher_.kill();
    stepper.reset();
    launcher_.restart();
    for (int i = 0; i < patience_ms(5'000) && !processes_of(launcher_.home()).empty(); ++i)
      ::usleep(1'000);
    EXPECT_TRUE(processes_of(launcher_.home()).empty()) << "killed before call " << number;
    calls = number;
    if (!stop) break;
  }
  EXPECT_GT(calls, 5);
  EXPECT_LT(calls, kMostCalls - step);
  EXPECT_EQ(launcher_.run(shell_spec("true")).ended.outcome.exit_code, 0);
}

}  // namespace
}  // namespace tare::testing
