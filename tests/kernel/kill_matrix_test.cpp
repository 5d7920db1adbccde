// A sandbox is made for a run:
//
//   dies \ held before a call of  tare-launcher         a maker    tare-init  the program
//   tare-launcher                 launch, end, release  here       yes        yes
//   a maker                       -                     see kill_matrix_makers_test.cpp
//   tare-init                     -                     -          yes        -
//   the program                   -                     -          -          yes
//   all, by a kill message        launch                yes        yes        yes
//   tared (its connection)        launch                yes        yes        yes
#include "kill_matrix.h"

namespace tare::testing {
namespace {

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_of_its_own_leaves_nothing) {
  launcher_dies_in({.what = "launcher, launch", .who = Stepped::launcher});
  launcher_dies_in({.what = "launcher, launch with an image",
                    .who = Stepped::launcher,
                    .shape = {.image = true}});
  launcher_dies_in({.what = "launcher, end",
                    .who = Stepped::launcher,
                    .phase = Phase::end,
                    .shape = {.image = true}});
  launcher_dies_in({.what = "launcher, release",
                    .who = Stepped::launcher,
                    .phase = Phase::release,
                    .shape = {.image = true}});
}

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_of_a_maker_leaves_nothing) {
  launcher_dies_in({.what = "maker", .who = Stepped::maker});
  launcher_dies_in(
      {.what = "maker with an image", .who = Stepped::maker, .shape = {.image = true}});
  launcher_dies_in({.what = "maker, removal",
                    .who = Stepped::maker,
                    .phase = Phase::release,
                    .shape = {.image = true}});
}

TEST_F(KillMatrix, sigkill_of_the_launcher_before_a_call_inside_leaves_nothing) {
  launcher_dies_in({.what = "tare-init", .who = Stepped::init, .ends = true});
  launcher_dies_in({.what = "tare-init, long run", .who = Stepped::init});
  launcher_dies_in({.what = "program", .who = Stepped::program});
}

TEST_F(KillMatrix, a_kill_message_before_any_call_ends_the_run_once_as_killed) {
  message_kills_in({.what = "launcher", .who = Stepped::launcher});
  message_kills_in({.what = "maker", .who = Stepped::maker});
  message_kills_in({.what = "tare-init", .who = Stepped::init, .ends = true});
  message_kills_in({.what = "program", .who = Stepped::program, .ends = true});
}

TEST_F(KillMatrix, a_lost_connection_before_any_call_loses_no_run) {
  tared_dies_in({.what = "launcher", .who = Stepped::launcher});
  tared_dies_in({.what = "maker", .who = Stepped::maker});
  tared_dies_in({.what = "tare-init", .who = Stepped::init});
  tared_dies_in({.what = "program", .who = Stepped::program});
}

TEST_F(KillMatrix, sigkill_of_tare_init_before_its_call_ends_the_run_once_and_says_so) {
  held_dies_in({.what = "tare-init", .who = Stepped::init, .ends = true});
}

// As the kernel does when memory runs out: the program is not there yet, or it is about to be.
TEST_F(KillMatrix, sigkill_of_the_program_before_its_call_ends_the_run_once) {
  held_dies_in({.what = "program", .who = Stepped::program, .ends = true});
}

}  // namespace
}  // namespace tare::testing
