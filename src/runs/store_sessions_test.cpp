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

}  // namespace
}  // namespace tare::runs
