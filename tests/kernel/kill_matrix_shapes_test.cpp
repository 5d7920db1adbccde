// The matrix of kill_matrix_test.cpp for what is launched with more than a plain run is, or less:
//
//   dies \ held before a call of  tare-launcher         a maker           tare-init  the program
//   tare-launcher                 launch, end, release  launch, release   yes        yes
//   a maker                       -                     launch, release   -          -
//   tare-init, the program        -                     -                 yes        yes
//   all, by a kill message        launch                yes               yes        yes
//   tared (its connection)        launch                yes               yes        yes
#include "kill_matrix.h"
#include "support/session.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

struct Named {
  const char* name;
  Shape shape;

  friend void PrintTo(const Named& named, std::ostream* out) { *out << named.name; }
};

class ShapesKillMatrix : public KillMatrix, public ::testing::WithParamInterface<Named> {
 protected:
  Sweep sweep(Stepped who, Phase phase = Phase::launch) {
    constexpr const char* kPhases[] = {"launch", "end", "release"};
    what_ = std::string(GetParam().name) + ", " + name_of(who) + ", " +
            kPhases[static_cast<int>(phase)];
    return {
        .what = what_.c_str(), .who = who, .phase = phase, .shape = GetParam().shape, .tries = 2};
  }
  Sweep that_ends(Stepped who) {
    Sweep one = sweep(who);
    one.ends = !GetParam().shape.session;
    return one;
  }
  // Those that take part in its launch.
  static std::vector<Stepped> all() {
    std::vector<Stepped> all = {Stepped::launcher, Stepped::maker, Stepped::init};
    if (!GetParam().shape.session) all.push_back(Stepped::program);
    return all;
  }

 private:
  std::string what_;
};

// Or the matrix would be one of something else.
TEST_P(ShapesKillMatrix, it_has_what_it_is_launched_with) {
  const Shape& shape = GetParam().shape;
  const model::SandboxSpec spec = spec_of(that_ends(Stepped::launcher));
  EXPECT_EQ(spec.limits.disk_bytes > spec.limits.memory_bytes / 4, shape.image);
  if (shape.session) {
    TestSession session(launcher_, spec);
    EXPECT_EQ(session.sh("read x < /etc/layer; echo $x").out, shape.layers ? "3\n" : "\n");
    (void)session.kill();
    return;
  }
  const RunResult result = launcher_.finish(launch(spec));
  EXPECT_EQ(result.ended.outcome.exit_code, 7) << described(result.ended.outcome) << result.err;
  EXPECT_EQ(sys::read_file_at(result.output.get(), "taken").value_or("none"), "given\n");
  model::SandboxSpec look = spec;
  look.id = fresh_run_id();
  look.argv.back() = "read x < /etc/layer; read y < /opt/tare/runner/main.sh; echo $x $y";
  EXPECT_EQ(launcher_.finish(launch(look)).out, shape.layers ? "3 echo one\n" : "\n");
}

TEST_P(ShapesKillMatrix, sigkill_of_the_launcher_before_any_call_leaves_nothing) {
  for (const Stepped who : all()) launcher_dies_in(sweep(who));
  launcher_dies_in(sweep(Stepped::launcher, Phase::end));
  launcher_dies_in(sweep(Stepped::launcher, Phase::release));
  launcher_dies_in(sweep(Stepped::maker, Phase::release));
}

TEST_P(ShapesKillMatrix, a_kill_message_before_any_call_ends_it_once_as_killed) {
  for (const Stepped who : all()) {
    const bool inside = who == Stepped::init || who == Stepped::program;
    message_kills_in(inside ? that_ends(who) : sweep(who));
  }
}

TEST_P(ShapesKillMatrix, a_lost_connection_before_any_call_loses_nothing) {
  for (const Stepped who : all()) tared_dies_in(sweep(who));
}

TEST_P(ShapesKillMatrix, sigkill_of_whoever_is_held_ends_it_once_and_leaves_nothing) {
  for (const Stepped who : all())
    if (who != Stepped::launcher) held_dies_in(that_ends(who));
  held_dies_in(sweep(Stepped::maker, Phase::release));
}

std::vector<Named> shapes() {
  std::vector<Named> all = {{"a_run_with_input_and_output", {.input = true}},
                            {"a_run_on_layers_with_a_runner_and_an_image",
                             {.image = true, .input = true, .layers = true}},
                            {"a_session", {.session = true}}};
  // It has what the two above have.
  if (every_call())
    all.push_back(
        {"a_session_on_layers_with_a_runner", {.session = true, .image = true, .layers = true}});
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, ShapesKillMatrix, ::testing::ValuesIn(shapes()),
                         [](const auto& named) { return std::string(named.param.name); });

}  // namespace
}  // namespace tare::testing
