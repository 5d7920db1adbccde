#include "live_work.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

#include "layers.h"
#include "support/patience.h"
#include "sys/files.h"

namespace tare::testing {

namespace {

using model::EndReason;
using ::testing::AnyOf;

// What it answered was believed; what was killed says so.
void expect_killed(const model::Outcome& outcome) {
  EXPECT_THAT(outcome.reason, AnyOf(EndReason::signalled, EndReason::setup_failed))
      << outcome.message;
  if (outcome.reason == EndReason::signalled) {
    EXPECT_EQ(outcome.signal, SIGKILL);
  }
}

// Until nobody is at its other end.
std::string said_on(int terminal) {
  std::string said;
  char part[256];
  for (pollfd ready = {terminal, POLLIN, 0};;) {
    EXPECT_EQ(::poll(&ready, 1, patience_ms(10'000)), 1);
    const ssize_t n = ::read(terminal, part, sizeof part);
    if (n <= 0) return said;
    said.append(part, static_cast<std::size_t>(n));
  }
}

// `echo out; exit 7`, or one that stays.
class Exec : public Work {
 public:
  Exec(TestLauncher& launcher, bool stays, bool terminal)
      : Work(launcher, session_spec()),
        stays_(stays),
        spec_(shell_exec(stays ? "exec sleep 1000" : "echo out; exit 7")) {
    if (terminal) spec_.terminal.emplace();
  }
  void ask() override { handle_ = session_.start(spec_); }
  bool answered() override {
    (void)session_.told();
    return session_.has_ended(handle_.number) || (stays_ && session_.has_started(handle_.number));
  }
  int reports() const override { return stays_ ? 2 : 3; }
  std::uint32_t number() const override { return handle_.number; }
  void lose() override {
    if (spec_.terminal && session_.has_started(handle_.number))
      (void)session_.started(handle_.number);
    handle_ = {.number = handle_.number, .out = {}, .err = {}, .in = {}};
  }

  void judge(const Fate& fate) override {
    if (fate.tared) {
      std::map<std::uint32_t, ExecHandle> kept;
      (void)session_.list(&kept);
      const auto found = kept.find(handle_.number);
      EXPECT_TRUE(found != kept.end() || fate.unread);
      if (found == kept.end()) return;
      handle_ = std::move(found->second);
    }
    // One that had started before is in the list.
    const bool is_told = spec_.terminal && !handle_.out.valid();
    if (auto terminal = is_told ? session_.started(handle_.number) : std::nullopt)
      handle_.out = std::move(*terminal);
    if (!fate.lives) return judge_dead();
    const std::uint32_t number = handle_.number;
    const ExecResult result = session_.finish(std::move(handle_));
    EXPECT_TRUE(session_.list().empty()) << "exec " << number << " is there after its release";
    EXPECT_EQ(result.err, "");
    if (fate.cut || fate.signalled) {  // before it has said anything
      EXPECT_EQ(result.out, "");
      return expect_killed(result.outcome);
    }
    EXPECT_EQ(result.outcome.reason, EndReason::exited) << result.outcome.message;
    EXPECT_EQ(result.outcome.exit_code, 7);
    EXPECT_EQ(result.out, out());
  }

 private:
  std::string out() const { return spec_.terminal ? "out\r\n" : "out\n"; }

  // Its end is that of the sandbox, unless it was told before; nobody holds its pipes.
  void judge_dead() {
    if (!spec_.terminal) {
      EXPECT_THAT(read_to_end(handle_.out.get()), AnyOf("", out()));
      EXPECT_EQ(read_to_end(handle_.err.get()), "");
    } else if (handle_.out.valid()) {
      EXPECT_THAT(said_on(handle_.out.get()), AnyOf("", out()));
    }
  }

  bool stays_;
  model::ExecSpec spec_;
  ExecHandle handle_;
};

// The kill of one that runs, with a process in a group of its own.
class ExecKill : public Work {
 public:
  explicit ExecKill(TestLauncher& launcher) : Work(launcher, session_spec()) {
    handle_ = session_.start(shell_exec("set -m; sleep 1000 & echo up; wait"));
    char up[3];
    EXPECT_EQ(::read(handle_.out.get(), up, 3), 3);
    EXPECT_TRUE(session_.started(handle_.number));
  }
  void ask() override { session_.signal(handle_.number, SIGKILL); }
  bool answered() override {
    (void)session_.told();
    return session_.has_ended(handle_.number);
  }
  int reports() const override { return 2; }
  void judge(const Fate& fate) override {
    if (fate.tared && fate.unread) ask();
    if (fate.tared) (void)session_.list();
    if (fate.lives) {
      const ExecResult result = session_.finish(std::move(handle_));  // both pipes at their end
      EXPECT_EQ(result.outcome.reason, EndReason::signalled);
      EXPECT_EQ(result.outcome.signal, SIGKILL);
    } else {
      (void)read_to_end(handle_.out.get());
    }
  }

 private:
  ExecHandle handle_;
};

// --- What keeps the whole sandbox still

constexpr const char* kMakerDied = "the process that made it has ended";

// Nobody has died who has a part in it: it is done.
bool was_left_alone(const Fate& fate) {
  return fate.lives && !fate.cut && !fate.makers && !fate.tared;
}

// The only answer of that kind; waits for it. Failures: there is none, or a second one.
template <class Message>
std::optional<Message> answer_in(TestSession& session) {
  std::optional<Message> found;
  for (int i = 0; i < patience_ms(5'000) && !found; ++i) {
    for (const sandbox::FromLauncher& told : session.told()) {
      const auto* one = std::get_if<Message>(&told);
      if (one == nullptr) continue;
      EXPECT_FALSE(found) << "answered twice";
      found = *one;
    }
    if (!found) ::usleep(1'000);
  }
  EXPECT_TRUE(found) << "not answered";
  return found;
}

template <class Message>
bool has_answer(TestSession& session) {
  for (const sandbox::FromLauncher& told : session.told())
    if (std::holds_alternative<Message>(told)) return true;
  return false;
}

// An exec in it, which is killed when it meets an exchange that nobody waits for.
std::string shown(TestSession& session, const std::string& script) {
  for (int tries = 0; tries < 1000 && !session.is_over(); ++tries) {
    const ExecHandle handle = session.start(shell_exec(script));
    while (!session.has_ended(handle.number) && !session.is_over()) {
      (void)session.told();
      ::usleep(1'000);
    }
    if (!session.has_ended(handle.number)) break;
    if (session.ended(handle.number).outcome.reason != EndReason::exited) continue;
    session.release(handle.number);
    return read_to_end(handle.out.get());
  }
  return "";
}

class Stopping : public Work {
 public:
  explicit Stopping(TestLauncher& launcher) : Work(launcher, session_spec()) {}
  void ask() override { launcher_.send(sandbox::StopMessage{session_.id()}); }
  bool answered() override { return has_answer<sandbox::StoppedMessage>(session_); }
  void judge(const Fate& fate) override {
    if (fate.tared) {  // it goes on by itself
      (void)session_.list();
    } else if (const auto answer = answer_in<sandbox::StoppedMessage>(session_); answer) {
      const std::string& error = answer->error;
      if (was_left_alone(fate)) {
        EXPECT_EQ(error, "");
      } else if (fate.lives) {
        EXPECT_THAT(error, AnyOf("", kMakerDied));
      }
      if (fate.lives && error.empty()) launcher_.send(sandbox::GoOnMessage{session_.id()});
    }
    if (fate.lives) {
      EXPECT_EQ(session_.sh("echo moves").out, "moves\n");
    }
  }
};

// What stands still is let go, or killed.
class Standing : public Work {
 public:
  Standing(TestLauncher& launcher, bool kill) : Work(launcher, session_spec()), kill_(kill) {
    launcher_.send(sandbox::StopMessage{session_.id()});
    const auto answer = answer_in<sandbox::StoppedMessage>(session_);
    EXPECT_EQ(answer ? answer->error : "", "");
  }
  void ask() override {
    if (kill_) return launcher_.send(sandbox::KillMessage{session_.id()});
    launcher_.send(sandbox::GoOnMessage{session_.id()});
  }
  bool answered() override {
    (void)session_.told();
    return !kill_ || session_.is_over();
  }
  bool may_end_as(EndReason reason) const override { return kill_ && reason == EndReason::killed; }
  void judge(const Fate& fate) override {
    if (fate.tared) (void)session_.list();
    if (kill_ && fate.lives && fate.unread) ask();
    if (kill_ && fate.lives) {
      EXPECT_EQ(session_.wait_end().outcome.reason, EndReason::killed);
    } else if (fate.lives) {
      EXPECT_EQ(session_.sh("echo moves").out, "moves\n");
    }
  }

 private:
  bool kill_;
};

class Swapping : public Work {
 public:
  Swapping(TestLauncher& launcher, model::SandboxSpec spec, std::string to)
      : Work(launcher, spec), to_(std::move(to)) {}
  static std::unique_ptr<Work> make(TestLauncher& launcher) {
    model::SandboxSpec spec = session_spec();
    spec.runner = make_runner(launcher, 'a', "one\n");
    return std::make_unique<Swapping>(launcher, spec, make_runner(launcher, 'b', "two\n"));
  }
  void ask() override { launcher_.send(sandbox::SwapMessage{session_.id(), to_}); }
  bool answered() override { return has_answer<sandbox::SwappedMessage>(session_); }
  bool may_end_as(EndReason reason) const override { return reason == EndReason::setup_failed; }
  // With the old one, or the new one, or ended; and as its answer says.
  void judge(const Fate& fate) override {
    std::optional<sandbox::SwappedMessage> answer;
    if (fate.tared) {
      (void)session_.list();
    } else {
      answer = answer_in<sandbox::SwappedMessage>(session_);
    }
    if (was_left_alone(fate)) {
      EXPECT_EQ(answer ? answer->error : "", "");
    }
    if (!fate.lives) return;
    const bool touched = answer && !answer->error.empty() && answer->touched;
    const std::string seen = touched ? "" : shown(session_, "cat /opt/tare/runner/main.sh");
    if (touched || session_.is_over()) {
      const auto end = session_.wait_end();
      EXPECT_EQ(end.outcome.reason, EndReason::setup_failed);
      EXPECT_TRUE(!answer || touched);
      EXPECT_TRUE(fate.cut || fate.makers || fate.tared) << end.outcome.message;
    } else if (answer) {
      EXPECT_EQ(seen, answer->error.empty() ? "two\n" : "one\n");
    } else {
      EXPECT_THAT(seen, AnyOf("one\n", "two\n"));
    }
  }

 private:
  std::string to_;
};

}  // namespace

std::vector<NamedWork> exec_works() {
  const auto exec = [](bool terminal) {
    return [terminal](TestLauncher& launcher, bool stays) {
      return std::make_unique<Exec>(launcher, stays, terminal);
    };
  };
  return {
      {"exec", exec(false), {Stepped::launcher, Stepped::init, Stepped::program}},
      {"exec_with_a_terminal", exec(true), {Stepped::launcher, Stepped::init, Stepped::program}},
      {"kill_of_an_exec",
       [](TestLauncher& launcher, bool) { return std::make_unique<ExecKill>(launcher); },
       {Stepped::launcher, Stepped::init}}};
}

std::vector<NamedWork> still_works() {
  const auto standing = [](bool kill) {
    return
        [kill](TestLauncher& launcher, bool) { return std::make_unique<Standing>(launcher, kill); };
  };
  return {{"stop",
           [](TestLauncher& launcher, bool) { return std::make_unique<Stopping>(launcher); },
           {Stepped::launcher, Stepped::maker}},
          {"go_on", standing(false), {Stepped::launcher}},
          {"kill_of_one_that_stands", standing(true), {Stepped::launcher}},
          {"swap",
           [](TestLauncher& launcher, bool) { return Swapping::make(launcher); },
           {Stepped::launcher, Stepped::maker, Stepped::helper}}};
}

}  // namespace tare::testing
