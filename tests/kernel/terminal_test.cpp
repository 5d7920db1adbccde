// Execs with a terminal: size, job control, what is typed, and what its master may be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/session.h"

namespace tare::testing {
namespace {

using ::testing::HasSubstr;

model::ExecSpec terminal_exec(std::vector<std::string> argv) {
  model::ExecSpec exec = exec_spec(std::move(argv));
  exec.env.push_back("TERM=xterm");
  exec.terminal = model::TerminalSize{33, 111};
  return exec;
}

// The other end of a terminal, as tared reads it.
class Terminal {
 public:
  explicit Terminal(std::optional<sys::UniqueFd> master) : master_(std::move(master.value())) {}
  void type(const std::string& text) {
    ASSERT_EQ(::write(master_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // What it shows until `text` was among it; the rest stays.
  std::string until(const std::string& text) {
    while (shown_.find(text) == std::string::npos && take()) {
    }
    const std::size_t at = shown_.find(text);
    const std::size_t size = at == std::string::npos ? shown_.size() : at + text.size();
    std::string out = shown_.substr(0, size);
    shown_.erase(0, size);
    EXPECT_THAT(out, HasSubstr(text));
    return out;
  }
  std::string rest() {
    while (take()) {
    }
    return shown_;
  }
  int fd() const { return master_.get(); }

 private:
  bool take() {
    pollfd wait = {master_.get(), POLLIN, 0};
    if (::poll(&wait, 1, 20'000) != 1) return false;
    char buffer[4096];
    const ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
    if (n > 0) shown_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }
  sys::UniqueFd master_;
  std::string shown_;
};

TEST(Terminal, an_exec_has_a_terminal_of_the_size_it_asked_for_and_sees_a_resize) {
  TestLauncher launcher;
  TestSession session(launcher);
  const auto exec = session.start(
      terminal_exec({"/bin/sh", "-c",
                     "tty; stty size; trap 'stty size; exit 4' WINCH; echo up; "
                     "while :; do sleep 0.05; done"}));
  Terminal terminal(session.started(exec.number));
  EXPECT_THAT(terminal.until("up"), HasSubstr("/dev/pts/0\r\n33 111\r\n"));
  const winsize size = {50, 100, 0, 0};
  ASSERT_EQ(::ioctl(terminal.fd(), TIOCSWINSZ, &size), 0);
  EXPECT_THAT(terminal.rest(), HasSubstr("50 100\r\n"));
  EXPECT_EQ(session.ended(exec.number).outcome.exit_code, 4);
  session.kill();
}

TEST(Terminal, its_master_is_a_terminals_and_does_not_block) {
  TestLauncher launcher;
  TestSession session(launcher);
  const auto exec = session.start(terminal_exec({"/bin/cat"}));
  Terminal terminal(session.started(exec.number));
  struct stat status = {};
  ASSERT_EQ(::fstat(terminal.fd(), &status), 0);
  EXPECT_EQ(status.st_rdev, makedev(5, 2));
  char byte = 0;
  EXPECT_EQ(::read(terminal.fd(), &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
  terminal.type("\x04");
  EXPECT_EQ(session.ended(exec.number).outcome.exit_code, 0);
  session.kill();
}

TEST(Terminal, a_shell_in_it_has_job_control_and_control_c_ends_only_the_job) {
  TestLauncher launcher;
  TestSession session(launcher);
  const auto exec = session.start(
      terminal_exec({"/bin/bash", "--norc", "--noprofile", "--noediting", "-i"}));
  Terminal terminal(session.started(exec.number));
  // exec: a dash that is just starting a child (vfork) passes over a ^C.
  terminal.type("sh -c 'echo run\"\"ning; exec sleep 1000'\n");
  terminal.until("running\r\n");
  terminal.type("\x03");
  terminal.until("^C");
  terminal.type("sleep 1000 & jobs; kill %1; echo sta\"\"tus $?\n");
  const std::string shown = terminal.until("status 0");
  EXPECT_THAT(shown, HasSubstr("Running"));
  EXPECT_THAT(shown, ::testing::Not(HasSubstr("no job control")));
  terminal.type("exit 6\n");
  EXPECT_EQ(session.ended(exec.number).outcome.exit_code, 6);
  session.kill();
}

// TIOCSTI would let a program type into the terminal of whoever looks at it.
TEST(Terminal, nobody_inside_can_type_into_it) {
  TestLauncher launcher;
  TestSession session(launcher);
  const auto exec = session.start(terminal_exec(
      {"/usr/bin/perl", "-e", "$x = 'x'; print ioctl(STDIN, 0x5412, $x) ? 'typed' : \"no: $!\";"}));
  Terminal terminal(session.started(exec.number));
  EXPECT_THAT(terminal.rest(), HasSubstr("no: "));
  session.ended(exec.number);
  session.kill();
}

TEST(Terminal, it_survives_the_death_of_tared) {
  TestLauncher launcher;
  TestSession session(launcher);
  const auto exec = session.start(terminal_exec({"/bin/sh", "-c", "read x; echo got $x"}));
  {
    Terminal first(session.started(exec.number));
  }
  launcher.disconnect();
  launcher.connect();
  std::map<std::uint32_t, ExecHandle> kept;
  const auto live = session.list(&kept);
  ASSERT_EQ(live.size(), 1U);
  EXPECT_TRUE(live[0].terminal);
  Terminal terminal(std::move(kept[exec.number].out));
  terminal.type("typed\n");
  EXPECT_THAT(terminal.rest(), HasSubstr("got typed"));
  EXPECT_EQ(session.ended(exec.number).outcome.exit_code, 0);
  session.kill();
}

TEST(Terminal, an_exec_that_cannot_be_executed_leaves_no_terminal) {
  TestLauncher launcher;
  TestSession session(launcher);
  const auto exec = session.start(terminal_exec({"no-such-program"}));
  EXPECT_FALSE(session.started(exec.number).has_value());
  EXPECT_EQ(session.ended(exec.number).outcome.reason, model::EndReason::not_found);
  EXPECT_EQ(session.sh("ls /dev/pts").out, "ptmx\n");
  session.kill();
}

}  // namespace
}  // namespace tare::testing
