// What a session that is held says: the cause, and what helps.
#include "host/held_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tare::host {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string said(Error why, std::string note = {}) {
  LiveRun live;
  live.run.id = "run_1";
  live.note = std::move(note);
  live.unkept = std::move(why);
  live.held = true;
  EXPECT_EQ(is_held_error(live).code, Errc::conflict);
  return is_held_error(live).message;
}

TEST(HeldSession, says_why_and_what_helps) {
  EXPECT_THAT(said({Errc::conflict, "the secret \"key\" is in \"root/env\""}, "no handshake"),
              AllOf(HasSubstr("session run_1 is held: no handshake; its sandbox was discarded"),
                    HasSubstr("cannot be kept: the secret \"key\" is in \"root/env\"."),
                    HasSubstr("out of the vault (`tare secret rm`, `tare canary rm`); `tare "
                              "session kill run_1` gives it up")));
  EXPECT_THAT(said({Errc::exhausted, "No space left"}), HasSubstr("as soon as there is room"));
  EXPECT_THAT(said({Errc::unavailable, "no store"}), HasSubstr("as soon as that is back"));
  EXPECT_THAT(said({Errc::invalid, "too deep"}),
              AllOf(HasSubstr("tried again every few seconds; `tare session kill run_1`"),
                    Not(HasSubstr("as soon as"))));
}

TEST(HeldSession, is_held_no_more_once_it_is_given_up_lost_or_asleep) {
  LiveRun live;
  EXPECT_FALSE(live.is_held());
  live.held = true;
  live.ended.emplace();  // its sandbox has
  EXPECT_TRUE(live.is_held());
  live.kill_wanted = true;
  EXPECT_FALSE(live.is_held());
  live.kill_wanted = false;
  live.lost = "gone";
  EXPECT_FALSE(live.is_held());
  live.lost.reset();
  live.run.state = model::RunState::hibernated;
  EXPECT_FALSE(live.is_held());
}

}  // namespace
}  // namespace tare::host
