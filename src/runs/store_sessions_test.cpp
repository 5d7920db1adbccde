// The suite of store_conformance_test.cpp, of sessions.
#include "base/hash.h"
#include "runs/test_store.h"

namespace tare::runs {
namespace {

using model::RunEventType;
using model::RunState;

TEST_P(StoreConformance, a_session_that_hibernates_is_found_again_with_what_is_its_own) {
  model::Run session = a_run();
  session.request.session = true;
  session.request.argv.clear();
  session.request.idle_timeout_ms = 1000;
  session.request.on_idle = model::OnIdle::kill;
  create(session);
  append(session, an_event(RunEventType::launching));
  append(session, an_event(RunEventType::started));
  model::RunEvent asleep = an_event(RunEventType::hibernated);
  asleep.own = {.root = {sha256_text("a")}, .scratch = {sha256_text("b"), sha256_text("c")}};
  append(session, asleep);
  model::RunEvent slept = an_event(RunEventType::slept);
  slept.usage.cpu_us = 7;
  append(session, slept);
  backend_->reopen();
  const auto found = store().unfinished_runs();
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->runs.size(), 1U);
  EXPECT_EQ(found->runs[0].state, RunState::hibernated);
  EXPECT_EQ(found->runs[0].own, asleep.own);
  EXPECT_EQ(found->runs[0].usage.cpu_us, 7U);
  EXPECT_EQ(found->runs[0].request, session.request);
  const auto events = store().events("default", session.id, 3).value();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].own, asleep.own);
  EXPECT_EQ(events[1].usage.cpu_us, 7U);
  EXPECT_EQ(append(session, an_event(RunEventType::launching)).attempt, 2U);
}

TEST_P(StoreConformance, of_any_number_of_checkpoints_the_last_is_kept_as_one_event) {
  model::Run session = a_run();
  session.request.session = true;
  session.request.argv.clear();
  session.request.checkpoint_interval_ms = 1000;
  session.request.durable = true;
  create(session);
  append(session, an_event(RunEventType::launching));
  append(session, an_event(RunEventType::started));
  const auto checkpoint = [&](const char* layer, std::uint64_t at_ms) {
    model::RunEvent event = an_event(RunEventType::checkpointed);
    event.own.root = {sha256_text(layer)};
    event.at_ms = at_ms;
    append(session, event);
  };
  checkpoint("a", 5);
  checkpoint("b", 6);
  checkpoint("c", 7);
  append(session, an_event(RunEventType::reattached));
  checkpoint("d", 8);
  for (int i = 0; i < 3; ++i) {
    model::RunEvent failed = an_event(RunEventType::checkpoint_failed);
    failed.message = std::to_string(i);
    append(session, failed);
  }
  backend_->reopen();
  const model::Run found = store().get_run("default", session.id).value();
  EXPECT_EQ(found.request, session.request);
  EXPECT_EQ(model::wakes_with(found).root, std::vector<std::string>{sha256_text("d")});
  EXPECT_EQ(found.checkpoint.at_ms, 8U);
  EXPECT_EQ(found.checkpoint.fault, "2");
  EXPECT_TRUE(found.own.empty());
  std::vector<std::pair<std::uint64_t, RunEventType>> told;
  const auto events = store().events("default", session.id, 0).value();
  for (const auto& event : events) told.emplace_back(event.sequence, event.type);
  const std::vector<std::pair<std::uint64_t, RunEventType>> expected = {
      {1, RunEventType::created},          {2, RunEventType::launching},
      {3, RunEventType::started},          {4, RunEventType::checkpointed},
      {5, RunEventType::reattached},       {6, RunEventType::checkpointed},
      {7, RunEventType::checkpoint_failed}};
  EXPECT_EQ(told, expected);
  EXPECT_EQ(store().events("default", session.id, 3).value()[0].own.root,
            std::vector<std::string>{sha256_text("c")});
}

}  // namespace
}  // namespace tare::runs
