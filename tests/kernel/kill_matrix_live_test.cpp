// What is asked of a sandbox that lives, and whoever dies before whichever call of whoever does it:
//
//   dies \ held before a call of  tare-launcher  tare-init  what does it: an exec, tare-files, a
//   maker tare-launcher                 yes            yes        yes all makers yes            yes
//   yes tare-init                     yes            here       yes what does it                  -
//   -          here all, by a kill message        yes            yes        yes the exec, by a
//   signal         yes            yes        yes tared (its connection)        yes            yes
//   yes
//
// With the launcher all is gone. Else what was asked for has one true end, and the sandbox goes on
// unless it was itself that died (live_work.h).
#include <sys/syscall.h>

#include "kill_matrix.h"
#include "live_work.h"

namespace tare::testing {
namespace {

enum class Deed { launcher, makers, init, held, kill, signal, tared };
constexpr const char* kDeeds[] = {"the launcher dies", "the makers die", "tare-init dies",
                                  "it dies",           "a kill message", "a signal",
                                  "tared dies"};
constexpr int kTriesLive = 2;  // for each deed

class LiveKillMatrix : public KillMatrix, public ::testing::WithParamInterface<NamedWork> {
 protected:
  // What can be done to it, but for what is the same as something else.
  static std::vector<Deed> deeds(Stepped who, bool exec) {
    std::vector<Deed> all = {Deed::launcher, Deed::kill, Deed::tared};
    const bool maker = who == Stepped::maker || who == Stepped::helper;
    if (!maker) all.push_back(Deed::makers);
    if (who != Stepped::init) all.push_back(Deed::init);
    if (who != Stepped::launcher) all.push_back(Deed::held);
    if (exec) all.push_back(Deed::signal);
    return all;
  }

  void begin(Stepped who, bool stays) {
    work_ = GetParam().make(launcher_, stays);
    init_ = work_->session().init();
    if (who == Stepped::launcher || who == Stepped::maker || who == Stepped::helper) {
      stepper_.emplace(launcher_.pid(), who);
    } else {
      stepper_.emplace(Waiting{init_}, who);
    }
    work_->ask();
  }

  Stepper::Over over(Stepped who) {
    switch (who) {
      case Stepped::launcher: return [this](const Stop&) { return work_->answered(); };
      case Stepped::init:
        return [this](const Stop& stop) { return stop.reports == work_->reports(); };
      case Stepped::maker:  // it asks for its next order
        return [](const Stop& stop) { return stop.call == SYS_recvmsg; };
      case Stepped::files:
        return [this](const Stop&) {
          work_->wake();
          return false;
        };
      case Stepped::program:
      case Stepped::helper: break;
    }
    return [](const Stop&) { return false; };
  }

  // It is over when it is done; what has become of all.
  Fate meet(Stepped who, Deed deed, Stops stop);
  void expect_end(Deed deed);
  void sweep(Stepped who);

  std::unique_ptr<Work> work_;
  std::optional<Stepper> stepper_;
  pid_t init_ = 0;
};

// The sandbox's own, told once; TestSession looks for a second one.
void LiveKillMatrix::expect_end(Deed deed) {
  const EndReason reason = work_->session().wait_end().outcome.reason;
  const EndReason expected = deed == Deed::kill ? EndReason::killed : EndReason::daemon_error;
  EXPECT_TRUE(reason == expected || work_->may_end_as(reason)) << model::to_string(reason);
}

Fate LiveKillMatrix::meet(Stepped who, Deed deed, Stops stop) {
  Fate fate;
  const std::string& id = work_->session().id();
  const bool inside = who == Stepped::init || who == Stepped::program || who == Stepped::files;
  switch (deed) {
    case Deed::launcher: break;  // kill_launcher
    case Deed::makers:
      fate.makers = true;
      for (const pid_t pid : makers_of(launcher_.pid())) EXPECT_EQ(::kill(pid, SIGKILL), 0);
      break;
    case Deed::init:
      EXPECT_TRUE(::kill(init_, SIGKILL) == 0 || work_->may_end_as(EndReason::killed));
      EXPECT_TRUE(!stop || !inside || stepper_->dies(kPatienceMs));
      fate.lives = false;
      break;
    case Deed::held:
      fate.cut = stop.has_value() && who != Stepped::init;
      fate.lives = !stop || who != Stepped::init;
      kill_held(stepper_, stop);
      break;
    case Deed::kill:
      launcher_.send(sandbox::KillMessage{id});
      EXPECT_TRUE(!stop || !inside || stepper_->dies(kPatienceMs));
      fate.lives = false;
      break;
    case Deed::signal:
      fate.signalled = true;
      work_->session().signal(work_->number(), SIGKILL);
      if (stop && who == Stepped::program) (void)stepper_->dies(kHoldMs);
      break;
    case Deed::tared:
      fate.tared = true;
      fate.unread = who == Stepped::launcher;
      launcher_.disconnect();
      work_->lose();
      break;
  }
  stepper_.reset();
  if (deed == Deed::tared) launcher_.connect();
  return fate;
}

// Without a deed first: so long is it.
void LiveKillMatrix::sweep(Stepped who) {
  const auto end = [this] {
    if (!work_->session().is_over()) (void)work_->session().kill();
  };
  bool exec = false;
  const int count = shortest_of([&] {
    begin(who, false);
    const int all = stepper_->count(over(who));
    exec = work_->number() != 0;
    stepper_.reset();
    work_->judge({});
    end();
    go_on();
    return all;
  });
  const std::string what = std::string(GetParam().name) + ", calls of " + name_of(who);
  int held = 0, tried = 0;
  for (const int number : tried_of(what, kTriesLive, count)) {
    for (const Deed deed : deeds(who, exec)) {
      begin(who, deed == Deed::signal);
      const auto stop = stepper_->run_to(number, over(who));
      SCOPED_TRACE(what + ": " + kDeeds[static_cast<int>(deed)] + "; " +
                   (stop ? stop->text() : "after the last call"));
      ++tried;
      if (stop) ++held;
      if (deed == Deed::launcher) {
        kill_launcher(stepper_);
        go_on();
        continue;
      }
      const Fate fate = meet(who, deed, stop);
      if (!fate.lives) expect_end(deed);
      work_->judge(fate);
      end();
      go_on();
      if (HasFailure()) return;  // what follows would be of it
    }
  }
  expect_swept(what, count, static_cast<std::size_t>(tried), held);
}

TEST_P(LiveKillMatrix, whoever_dies_it_has_one_true_end_and_leaves_nothing) {
  for (const Stepped who : GetParam().by) sweep(who);
}

constexpr auto kNameOfWork = [](const auto& work) { return std::string(work.param.name); };
INSTANTIATE_TEST_SUITE_P(Execs, LiveKillMatrix, ::testing::ValuesIn(exec_works()), kNameOfWork);
INSTANTIATE_TEST_SUITE_P(Files, LiveKillMatrix, ::testing::ValuesIn(file_works()), kNameOfWork);
INSTANTIATE_TEST_SUITE_P(Still, LiveKillMatrix, ::testing::ValuesIn(still_works()), kNameOfWork);

}  // namespace
}  // namespace tare::testing
