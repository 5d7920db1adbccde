// The kill matrix: what is done while somebody is held, and what must be true afterwards.
#include <unistd.h>

#include "kill_matrix.h"

namespace tare::testing {

namespace {

// The launcher tells what it knows: a set-up that could not be ended by it, or a tare-init that
// died by itself; and of a program whose end was reported before, that end.
void expect_true_end(const Sweep& sweep, const std::optional<Stop>& stop,
                     const model::Outcome& outcome) {
  using ::testing::AnyOf;
  const bool in_vain = !stop || sweep.who == Stepped::maker || stop->reports == 3;
  if (in_vain) {
    EXPECT_EQ(outcome.reason, sweep.ends ? EndReason::exited : EndReason::killed)
        << described(outcome);
    EXPECT_EQ(outcome.exit_code, sweep.ends ? 7 : 0);
  } else if (sweep.who == Stepped::program) {
    // Between its report that it is ready and its order, tare-init ends without a word.
    EXPECT_THAT(outcome.reason,
                AnyOf(EndReason::signalled, EndReason::setup_failed, EndReason::daemon_error))
        << described(outcome);
  } else if (stop->reports > 0) {
    EXPECT_EQ(outcome.reason, EndReason::daemon_error) << described(outcome);
  } else {
    EXPECT_THAT(outcome.reason, AnyOf(EndReason::daemon_error, EndReason::setup_failed))
        << described(outcome);
  }
}

}  // namespace

void KillMatrix::kill_launcher(std::optional<Stepper>& stepper) {
  launcher_.kill();
  stepper.reset();
  EXPECT_THAT(orphans_.left_after(kPatienceMs), ::testing::IsEmpty());
  EXPECT_THAT(processes_of(launcher_.home()), ::testing::IsEmpty());
  // What the end of a mount namespace frees, it frees a moment later.
  std::vector<std::string> loops;
  eventually(kPatienceMs,
             [&] { return (loops = loops_on_file_system_of(launcher_.home())).empty(); });
  EXPECT_THAT(loops, ::testing::IsEmpty());
  launcher_.restart();
  EXPECT_THAT(sandbox_cgroups_of(launcher_.home()), ::testing::IsEmpty());
  if (pool_ > 0) (void)launcher_.run(shell_spec("true"));  // the pool knows its kind again
}

EndedMessage KillMatrix::finish(Live live) {
  const EndedMessage ended = launcher_.finish(std::move(live)).ended;
  launcher_.send(sandbox::ListMessage{});
  const auto message = launcher_.next();
  EXPECT_TRUE(std::holds_alternative<sandbox::ListedMessage>(message)) << "told twice";
  return ended;
}

void KillMatrix::launcher_dies_in(const Sweep& sweep) {
  (void)spec_of(sweep);  // its layers are there
  std::optional<Stepper> none;
  kill_launcher(none);
  settle();
  const std::uint64_t files = files_in_use();
  hold(sweep, [&](std::optional<Stepper>& stepper, Stops, Live) { kill_launcher(stepper); });
  kill_launcher(none);
  settle();
  EXPECT_EQ(files_in_use(), files);
}

void KillMatrix::message_kills_in(const Sweep& sweep) {
  hold(sweep, [&](std::optional<Stepper>& stepper, Stops stop, Live live) {
    launcher_.send(sandbox::KillMessage{live.id});
    if (stop && sweep.who != Stepped::launcher) (void)stepper->dies(kHoldMs);
    stepper.reset();
    const model::Outcome outcome = finish(std::move(live)).outcome;
    // What has exited before the message came has not been killed.
    const bool exited = sweep.ends && (!stop || stop->reports == 3);
    EXPECT_EQ(outcome.reason, exited ? EndReason::exited : EndReason::killed) << described(outcome);
  });
}

// tared dies: its successor is told of the run, whatever the held process was doing.
void KillMatrix::tared_dies_in(const Sweep& sweep) {
  hold(sweep, [&](std::optional<Stepper>& stepper, Stops, Live live) {
    launcher_.disconnect();
    stepper.reset();
    launcher_.connect();
    launcher_.send(sandbox::ListMessage{});
    std::vector<sys::UniqueFd> pipes;
    auto message = launcher_.next(&pipes);
    // Its start may be told between the greeting and the question.
    if (std::holds_alternative<StartedMessage>(message)) message = launcher_.next(&pipes);
    const auto* found = std::get_if<sandbox::LiveMessage>(&message);
    ASSERT_TRUE(found != nullptr && found->id == live.id) << message.index();
    EXPECT_EQ(pipes.size(), 2U);
    EXPECT_TRUE(std::holds_alternative<sandbox::ListedMessage>(launcher_.next()));
    launcher_.send(sandbox::KillMessage{live.id});
    EXPECT_EQ(finish(std::move(live)).outcome.reason, EndReason::killed);
  });
}

void KillMatrix::held_dies_in(const Sweep& sweep) {
  hold(sweep, [&](std::optional<Stepper>& stepper, Stops stop, Live live) {
    kill_held(stepper, stop);
    if (sweep.phase == Phase::release) return;
    const bool goes_on = !sweep.ends && (!stop || sweep.who == Stepped::maker);
    if (goes_on) launcher_.send(sandbox::KillMessage{live.id});
    expect_true_end(sweep, stop, finish(std::move(live)).outcome);
  });
}

}  // namespace tare::testing
