#include "runs/test_store.h"

namespace tare::runs {
namespace {

using model::RunEventType;
using model::RunState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> ids(const std::vector<model::Run>& runs) {
  std::vector<std::string> found;
  for (const auto& run : runs) found.push_back(run.id);
  return found;
}

TEST_P(StoreConformance, a_run_comes_back_as_it_was_also_after_a_restart) {
  const model::Run run = a_run("stock-analyst");
  EXPECT_EQ(create(run), run);
  EXPECT_EQ(*store().get_run("default", run.id), run);
  backend_->reopen();
  EXPECT_EQ(*store().get_run("default", run.id), run);
}

TEST_P(StoreConformance, each_event_changes_the_run_and_is_kept_in_order) {
  const model::Run run = a_run();
  create(run);
  EXPECT_EQ(append(run, an_event(RunEventType::launching)).state, RunState::starting);
  EXPECT_EQ(append(run, an_event(RunEventType::started)).started_ms, 1'700'000'000'500U);
  const model::Run ended = append(run, an_end(3));
  EXPECT_EQ(ended.state, RunState::failed);
  EXPECT_EQ(ended.outcome->exit_code, 3);
  EXPECT_EQ(ended.usage.cpu_us, 1234U);
  EXPECT_TRUE(ended.log_cut);
  backend_->reopen();
  EXPECT_EQ(*store().get_run("default", run.id), ended);
  const auto events = store().events("default", run.id, 0);
  ASSERT_TRUE(events.ok());
  ASSERT_EQ(events->size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ((*events)[i].sequence, i + 1);
  EXPECT_EQ((*events)[0].type, RunEventType::created);
  EXPECT_EQ((*events)[3].outcome, ended.outcome);
  EXPECT_EQ(store().events("default", run.id, 3)->size(), 1U);
  EXPECT_THAT(*store().events("default", run.id, 4), IsEmpty());
}

TEST_P(StoreConformance, an_event_that_cannot_happen_changes_nothing) {
  const model::Run run = a_run();
  create(run);
  const auto refused = store().append_event("default", run.id, an_event(RunEventType::started));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_EQ(*store().get_run("default", run.id), run);
  EXPECT_EQ(store().events("default", run.id, 0)->size(), 1U);
  const model::Run ended = finished(a_run());
  EXPECT_EQ(store().append_event("default", ended.id, an_end(0)).error().code, Errc::conflict);
}

TEST_P(StoreConformance, a_message_of_any_bytes_and_length_can_be_stored) {
  const model::Run run = a_run();
  create(run);
  model::RunEvent event = an_event(RunEventType::kill_requested);
  for (int i = 0; i < 256; ++i) event.message += static_cast<char>(i);
  append(run, event);
  event.message = std::string(100'000, 'x') + "\xC3\xA4";
  append(run, event);
  event.message = std::string(kMaxMessageBytes - 1, 'y') + "\xC3\xA4";
  append(run, event);
  const auto events = store().events("default", run.id, 1);
  ASSERT_TRUE(events.ok()) << events.error().message;
  EXPECT_THAT((*events)[0].message, HasSubstr("0123456789"));
  EXPECT_EQ((*events)[1].message, std::string(kMaxMessageBytes, 'x'));
  EXPECT_EQ((*events)[2].message, std::string(kMaxMessageBytes - 1, 'y'));
}

TEST_P(StoreConformance, what_is_not_there_is_not_found) {
  EXPECT_EQ(store().get_run("default", next_id()).error().code, Errc::not_found);
  EXPECT_EQ(store().get_run("default", "'; DROP TABLE runs").error().code, Errc::not_found);
  EXPECT_EQ(store().events("default", next_id(), 0).error().code, Errc::not_found);
  EXPECT_EQ(store().append_event("default", next_id(), an_end()).error().code, Errc::not_found);
  EXPECT_EQ(store().delete_run("default", next_id()).error().code, Errc::not_found);
  EXPECT_EQ(store().get_agent("default", "nobody", std::nullopt).error().code, Errc::not_found);
  EXPECT_EQ(store().get_environment("default", "nowhere").error().code, Errc::not_found);
}

TEST_P(StoreConformance, a_tenant_sees_and_changes_only_its_own) {
  model::Run mine = a_run(), theirs = a_run();
  theirs.tenant = "other";
  mine.request.idempotency_key = theirs.request.idempotency_key = "same-key";
  create(mine);
  create(theirs);
  EXPECT_EQ(store().get_run("other", mine.id).error().code, Errc::not_found);
  EXPECT_EQ(store().append_event("other", mine.id, an_event(RunEventType::launching)).error().code,
            Errc::not_found);
  EXPECT_THAT(ids(store().list_runs("other", {})->runs), ElementsAre(theirs.id));
  ASSERT_TRUE(store().put_agent(an_agent("a")).ok());
  EXPECT_FALSE(store().get_agent("other", "a", std::nullopt).ok());
  EXPECT_THAT(store().list_agents("other", "", 10)->agents, IsEmpty());
  ASSERT_TRUE(store().put_environment(an_environment("e", "debian:bookworm", '1')).ok());
  EXPECT_FALSE(store().get_environment("other", "e").ok());
  EXPECT_THAT(*store().list_environments("other"), IsEmpty());
}

TEST_P(StoreConformance, the_same_key_and_request_give_the_same_run) {
  model::Run run = a_run();
  run.request.idempotency_key = "key-1";
  create(run);
  const model::Run started = append(run, an_event(RunEventType::launching));
  model::Run again = run;
  again.id = next_id();
  again.created_ms += 5000;
  const auto repeated = store().create_run(again, "");
  ASSERT_TRUE(repeated.ok()) << repeated.error().message;
  EXPECT_TRUE(repeated->existed);
  EXPECT_EQ(repeated->run, started) << "as it is now";
  EXPECT_THAT(ids(store().list_runs("default", {})->runs), ElementsAre(run.id));
}

TEST_P(StoreConformance, the_same_key_with_another_request_is_a_conflict) {
  model::Run run = a_run();
  run.request.idempotency_key = "key-1";
  create(run);
  model::Run other = a_run();
  other.request.idempotency_key = "key-1";
  other.request.argv.emplace_back("more");
  const auto refused = store().create_run(other, "");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().message, HasSubstr(run.id));
  EXPECT_FALSE(store().get_run("default", other.id).ok());
}

// "agent a, newest version" is the same request after a new version of the agent has come.
TEST_P(StoreConformance, what_was_asked_for_decides_and_not_what_it_was_resolved_to) {
  model::Run run = a_run("a");
  run.request.idempotency_key = "key-1";
  ASSERT_TRUE(store().create_run(run, "sha256:asked").ok());
  model::Run again = run;
  again.id = next_id();
  again.request.version = 4;
  const auto repeated = store().create_run(again, "sha256:asked");
  ASSERT_TRUE(repeated.ok()) << repeated.error().message;
  EXPECT_EQ(repeated->run, run);
  EXPECT_EQ(store().create_run(again, "sha256:else").error().code, Errc::conflict);
}

TEST_P(StoreConformance, without_a_key_every_request_is_a_new_run) {
  const model::Run first = a_run(), second = a_run();
  create(first);
  create(second);
  EXPECT_EQ(store().list_runs("default", {})->runs.size(), 2U);
  EXPECT_EQ(store().create_run(first, "").error().code, Errc::conflict) << "the id is taken";
}

TEST_P(StoreConformance, only_a_new_run_can_be_created) {
  model::Run run = a_run();
  run.state = RunState::running;
  EXPECT_EQ(store().create_run(run, "").error().code, Errc::invalid);
  run = a_run();
  run.id = "../../etc";
  EXPECT_EQ(store().create_run(run, "").error().code, Errc::invalid);
  run = a_run();
  run.request.argv = {"\xFF\xFE"};
  EXPECT_EQ(store().create_run(run, "").error().code, Errc::invalid) << "not UTF-8: not as given";
  run = a_run();
  run.request.argv.clear();
  EXPECT_EQ(store().create_run(run, "").error().code, Errc::invalid) << "could not be read back";
  EXPECT_THAT(store().list_runs("default", {})->runs, IsEmpty());
}

TEST_P(StoreConformance, runs_are_listed_newest_first_in_pages) {
  std::vector<std::string> expected;
  for (int i = 0; i < 7; ++i) expected.insert(expected.begin(), create(a_run()).id);
  std::vector<std::string> seen;
  RunFilter filter{.states = {}, .agent = "", .cursor = "", .limit = 3};
  int pages = 0;
  do {
    const auto page = store().list_runs("default", filter);
    ASSERT_TRUE(page.ok()) << page.error().message;
    ASSERT_LE(page->runs.size(), 3U);
    for (const auto& id : ids(page->runs)) seen.push_back(id);
    filter.cursor = page->next_cursor;
    if (++pages == 1) create(a_run());  // newer than the cursor: does not disturb the pages to come
  } while (!filter.cursor.empty());
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(pages, 3);
}

TEST_P(StoreConformance, a_page_that_is_exactly_full_is_the_last) {
  for (int i = 0; i < 3; ++i) create(a_run());
  EXPECT_THAT(store()
                  .list_runs("default", {.states = {}, .agent = "", .cursor = "", .limit = 3})
                  ->next_cursor,
              IsEmpty());
}

TEST_P(StoreConformance, a_listing_can_be_narrowed_by_state_and_agent) {
  const model::Run queued = create(a_run("a"));
  const model::Run done = finished(a_run("a"), 0);
  const model::Run failed = finished(a_run("b"), 1);
  const auto list = [&](std::vector<RunState> states, std::string agent) {
    return ids(
        store()
            .list_runs(
                "default",
                {.states = std::move(states), .agent = std::move(agent), .cursor = "", .limit = 10})
            ->runs);
  };
  EXPECT_THAT(list({RunState::queued, RunState::starting, RunState::running}, ""),
              ElementsAre(queued.id));
  EXPECT_THAT(list({RunState::failed, RunState::succeeded}, ""), ElementsAre(failed.id, done.id));
  EXPECT_THAT(list({}, "a"), ElementsAre(done.id, queued.id));
  EXPECT_THAT(list({RunState::succeeded}, "a"), ElementsAre(done.id));
  EXPECT_THAT(list({RunState::succeeded}, "b"), IsEmpty());
}

TEST_P(StoreConformance, a_wrong_cursor_or_limit_is_refused) {
  for (const std::size_t limit : {std::size_t{0}, kMaxListedRuns + 1}) {
    EXPECT_EQ(store()
                  .list_runs("default", {.states = {}, .agent = "", .cursor = "", .limit = limit})
                  .error()
                  .code,
              Errc::invalid);
    EXPECT_EQ(store().list_agents("default", "", limit).error().code, Errc::invalid);
  }
  RunFilter filter;
  filter.cursor = "' OR 1=1 --";
  EXPECT_EQ(store().list_runs("default", filter).error().code, Errc::invalid);
  EXPECT_EQ(store().list_agents("default", filter.cursor, 1).error().code, Errc::invalid);
}

TEST_P(StoreConformance, recovery_finds_what_has_not_ended_of_every_tenant) {
  const model::Run queued = create(a_run());
  finished(a_run());
  model::Run theirs = a_run();
  theirs.tenant = "other";
  create(theirs);
  append(theirs, an_event(RunEventType::launching));
  backend_->reopen();
  const auto found = store().unfinished_runs();
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(ids(found->runs), ElementsAre(queued.id, theirs.id));
  EXPECT_EQ(found->runs[1].state, RunState::starting);
  EXPECT_THAT(found->damaged, IsEmpty());
}

TEST_P(StoreConformance, an_ended_run_can_be_removed_with_its_events) {
  const model::Run live = create(a_run());
  const auto refused = store().delete_run("default", live.id);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  const model::Run done = finished(a_run());
  ASSERT_TRUE(store().delete_run("default", done.id).ok());
  EXPECT_EQ(store().get_run("default", done.id).error().code, Errc::not_found);
  EXPECT_EQ(store().events("default", done.id, 0).error().code, Errc::not_found);
  EXPECT_TRUE(store().get_run("default", live.id).ok());
}

TEST_P(StoreConformance, a_run_takes_only_so_many_events_but_always_its_end) {
  const model::Run run = create(a_run());
  backend_->damage("UPDATE runs SET last_sequence = " + std::to_string(kMaxEventsPerRun));
  EXPECT_EQ(
      store().append_event("default", run.id, an_event(RunEventType::kill_requested)).error().code,
      Errc::exhausted);
  model::RunEvent killed = an_end();
  killed.outcome->reason = model::EndReason::killed;
  EXPECT_EQ(append(run, killed).state, RunState::cancelled);
}

TEST_P(StoreConformance, a_damaged_row_is_an_error_that_names_it) {
  const model::Run whole = create(a_run());
  const char* const damages[] = {
      "UPDATE runs SET request = '{' WHERE id = ",
      "UPDATE runs SET request = '{\"argv\":1}' WHERE id = ",
      "UPDATE runs SET usage = '[]' WHERE id = ",
      "UPDATE runs SET agent = 'other' WHERE id = ",
      "UPDATE runs SET state = 'failed', outcome = '{\"reason\":\"no\"}' WHERE id = ",
      "UPDATE runs SET attempt = 99999999999 WHERE id = ",
  };
  for (const char* damage : damages) {
    const model::Run run = create(a_run());
    backend_->damage(damage + ("'" + run.id + "'"));
    const auto got = store().get_run("default", run.id);
    ASSERT_FALSE(got.ok()) << damage;
    EXPECT_EQ(got.error().code, Errc::internal) << damage;
    EXPECT_THAT(got.error().message, HasSubstr(run.id)) << damage;
    EXPECT_FALSE(store().append_event("default", run.id, an_event(RunEventType::launching)).ok());
  }
  const auto unfinished = store().unfinished_runs();
  ASSERT_TRUE(unfinished.ok());
  EXPECT_THAT(ids(unfinished->runs), ElementsAre(whole.id)) << "the others are looked after";
  EXPECT_EQ(unfinished->damaged.size(), 5U);
  backend_->damage("UPDATE run_events SET event = 'x' WHERE run_id = '" + whole.id + "'");
  EXPECT_THAT(store().events("default", whole.id, 0).error().message, HasSubstr(whole.id));
}

TEST_P(StoreConformance, an_agent_that_changes_gets_the_next_version) {
  model::Agent agent = an_agent("a");
  auto first = store().put_agent(agent);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_FALSE(first->existed);
  EXPECT_EQ(first->agent.version, 1U);
  agent.created_ms += 1000;
  const auto same = store().put_agent(agent);
  EXPECT_TRUE(same->existed);
  EXPECT_EQ(same->agent, first->agent) << "the time of the first apply stays";
  agent.files_digest = "sha256:" + std::string(64, 'b');
  EXPECT_EQ(store().put_agent(agent)->agent.version, 2U);
  agent.manifest.entry.emplace_back("--fast");
  EXPECT_EQ(store().put_agent(agent)->agent.version, 3U);
  backend_->reopen();
  EXPECT_EQ(*store().get_agent("default", "a", 1), first->agent);
  EXPECT_EQ(store().get_agent("default", "a", std::nullopt)->version, 3U);
  EXPECT_EQ(store().get_agent("default", "a", 4).error().code, Errc::not_found);
}

TEST_P(StoreConformance, going_back_to_an_older_form_is_a_new_version) {
  model::Agent agent = an_agent("a");
  ASSERT_TRUE(store().put_agent(agent).ok());
  model::Agent changed = agent;
  changed.manifest.description = "changed";
  ASSERT_TRUE(store().put_agent(changed).ok());
  EXPECT_EQ(store().put_agent(agent)->agent.version, 3U);
}

TEST_P(StoreConformance, agents_are_listed_by_name_with_their_newest_version) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(store().put_agent(an_agent(name)).ok());
  model::Agent changed = an_agent("b");
  changed.manifest.description = "changed";
  ASSERT_TRUE(store().put_agent(changed).ok());
  const auto first = store().list_agents("default", "", 2);
  ASSERT_TRUE(first.ok());
  ASSERT_EQ(first->agents.size(), 2U);
  EXPECT_EQ(first->agents[0].name, "a");
  EXPECT_EQ(first->agents[1].version, 2U);
  const auto second = store().list_agents("default", first->next_cursor, 2);
  ASSERT_EQ(second->agents.size(), 1U);
  EXPECT_EQ(second->agents[0].name, "c");
  EXPECT_THAT(second->next_cursor, IsEmpty());
}

TEST_P(StoreConformance, an_environment_is_found_by_name_source_and_digest) {
  const auto one = an_environment("one", "debian:bookworm", '1');
  auto two = an_environment("two", "debian:bookworm:python3", '2');
  ASSERT_TRUE(store().put_environment(one).ok());
  ASSERT_TRUE(store().put_environment(two).ok());
  EXPECT_EQ(*store().get_environment("default", "one"), one);
  EXPECT_EQ(*store().get_environment("default", "debian:bookworm:python3"), two);
  EXPECT_EQ(*store().get_environment("default", one.digest), one);
  auto newer = an_environment("three", "debian:bookworm", '3');
  newer.created_ms += 1;
  ASSERT_TRUE(store().put_environment(newer).ok());
  EXPECT_EQ(*store().get_environment("default", "debian:bookworm"), newer);
  two.state = model::EnvironmentState::failed;
  two.digest = "";
  two.layers.clear();
  ASSERT_TRUE(store().put_environment(two).ok());
  backend_->reopen();
  EXPECT_EQ(*store().get_environment("default", "two"), two);
  EXPECT_FALSE(store().get_environment("default", "").ok()) << "no digest is not a digest";
  const auto all = store().list_environments("default");
  ASSERT_TRUE(all.ok());
  EXPECT_THAT(*all, ElementsAre(one, newer, two));
}

TEST_P(StoreConformance, damaged_agents_and_environments_are_errors_that_name_them) {
  ASSERT_TRUE(store().put_agent(an_agent("broken-agent")).ok());
  ASSERT_TRUE(store().put_environment(an_environment("broken-env", "host", '1')).ok());
  backend_->damage("UPDATE agents SET agent = '{}'");
  backend_->damage("UPDATE environments SET environment = 'null'");
  EXPECT_THAT(store().get_agent("default", "broken-agent", 1).error().message,
              HasSubstr("broken-agent"));
  EXPECT_FALSE(store().put_agent(an_agent("broken-agent")).ok())
      << "cannot tell whether it is the same";
  EXPECT_THAT(store().get_environment("default", "broken-env").error().message,
              HasSubstr("broken-env"));
  EXPECT_EQ(store().list_environments("default").error().code, Errc::internal);
}

}  // namespace
}  // namespace tare::runs
