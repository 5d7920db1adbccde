// tare session list, against a real HTTP server.
#include <gmock/gmock.h>

#include <sstream>

#include "cli/commands.h"
#include "cli/fake_tared.h"

namespace tare::cli {
namespace {

constexpr std::uint64_t kMinuteMs = 60'000;

model::Run a_session(model::RunState state = model::RunState::running) {
  model::Run run = run_in_state(state);
  run.request.session = true;
  return run;
}

// What `tare session list` prints of them: the words of its first line; of each row what comes
// behind the profile.
struct Shown {
  std::string header;
  std::vector<std::string> kept;
};
Shown listed(const std::vector<model::Run>& sessions) {
  FakeTared fake(
      {{.method = http::Method::get, .path = "/v1/sessions", .handler = [&](http::Exchange& ex) {
          JsonArray all;
          for (const model::Run& run : sessions) all.push_back(model::to_json(run));
          return reply_json(ex, 200, JsonObject{{"sessions", all}});
        }}});
  EXPECT_EQ(status_of(fake, SessionListCommand{}), 0);
  std::istringstream lines(fake.out());
  Shown shown;
  std::getline(lines, shown.header);
  const std::size_t column = shown.header.find("CHECKPOINT");
  for (std::string line; std::getline(lines, line);)
    shown.kept.push_back(column < line.size() ? line.substr(column) : "");
  return shown;
}

TEST(SessionList, where_nothing_is_kept_of_any_there_is_no_column_for_it) {
  EXPECT_THAT(listed({a_session(), a_session(model::RunState::hibernated)}).header,
              ::testing::EndsWith("PROFILE"));
}

TEST(SessionList, it_shows_which_are_durable_how_often_others_are_kept_and_since_when_they_are) {
  const std::uint64_t now_ms = RealClock().wall_ms();
  model::Run durable = a_session(), often = a_session(), by_hand = a_session();
  durable.request.durable = true;
  often.request.checkpoint_interval_ms = 5 * kMinuteMs;
  by_hand.checkpoint.at_ms = now_ms - 3 * kMinuteMs - 1000;
  model::Run both = durable;
  both.request.checkpoint_interval_ms = 90 * kMinuteMs;
  both.checkpoint.at_ms = by_hand.checkpoint.at_ms;
  model::Run failing = both;
  failing.checkpoint.fault = "root/leak has a secret";
  EXPECT_THAT(
      listed({a_session(), durable, often, by_hand, both, failing}).kept,
      ::testing::ElementsAre("", "durable", "every 5m", "3m ago", "durable, every 1h30m, 3m ago",
                             "durable, every 1h30m, 3m ago, failing"));
}

TEST(SessionList, of_one_that_sleeps_all_is_kept_and_no_older_checkpoint_is_named) {
  model::Run asleep = a_session(model::RunState::hibernated);
  asleep.request.durable = true;
  asleep.checkpoint.at_ms = 1;
  EXPECT_THAT(listed({asleep}).kept, ::testing::ElementsAre("durable"));
}

TEST(SessionList, one_that_is_held_is_not_called_running) {
  Json held = model::to_json(a_session());
  held.as_object()["held"] = "its files cannot be kept";
  FakeTared fake(
      {{.method = http::Method::get, .path = "/v1/sessions", .handler = [&](http::Exchange& ex) {
          return reply_json(ex, 200, JsonObject{{"sessions", JsonArray{held}}});
        }}});
  EXPECT_EQ(status_of(fake, SessionListCommand{}), 0);
  EXPECT_THAT(fake.out(), ::testing::AllOf(::testing::HasSubstr(" held "),
                                           ::testing::Not(::testing::HasSubstr("running"))));
}

}  // namespace
}  // namespace tare::cli
