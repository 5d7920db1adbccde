// A program that commits runs and says so is killed with SIGKILL at any instant: every run that it
// said was created is there afterwards, in a state that it can have, with all its events.
#include <signal.h>
#include <unistd.h>

#include "runs/store_sqlite.h"
#include "runs/test_runs.h"
#include "sql/group_commit.h"
#include "sql/test_folder.h"
#include "sys/files.h"
#include "sys/fork.h"

namespace tare::runs {
namespace {

constexpr int kRounds = 10;
constexpr std::size_t kLine = kRunIdBytes +
                              2;  // an id, what was acknowledged about it, and a newline

// Runs in the child until it is killed. 'c': created; 'e': ended.
[[noreturn]] void commit_for_ever(const std::string& path, int report, std::uint64_t seed) {
  auto store = SqliteStore::open(path, sql::SqliteOptions{}, 1);
  if (!store) ::_exit(1);
  sql::GroupCommitter committer((*store)->database(), {});
  const auto say = [&](const std::string& id, char what) {
    if (!sys::write_all(report, id + what + "\n")) ::_exit(2);
  };
  ManualClock clock(1'700'000'000'000 + seed * 1'000'000);
  SystemRandom random;
  RunIdGenerator ids(clock, random);
  while (true) {
    model::Run run = a_run();
    run.id = ids.next();
    committer.submit([&store, run] { return (*store)->create_run(run, ""); },
                     [&say, run](Result<CreatedRun> made) {
                       if (!made) ::_exit(3);
                       say(run.id, 'c');
                     });
    for (const auto& event :
         {an_event(model::RunEventType::launching), an_event(model::RunEventType::started)}) {
      committer.submit(
          [&store, run, event] { return (*store)->append_event(run.tenant, run.id, event); },
          [](Result<AppendedEvent> appended) {
            if (!appended) ::_exit(4);
          });
    }
    const auto ended = committer.run(
        [&] { return (*store)->append_event(run.tenant, run.id, an_end()); });
    if (!ended) ::_exit(5);
    say(run.id, 'e');
  }
}

void expect_acknowledged(SqliteStore& store, std::string_view line) {
  ASSERT_EQ(line.size(), kLine);
  const std::string id(line.substr(0, kRunIdBytes));
  const auto run = store.get_run("default", id);
  ASSERT_TRUE(run.ok()) << run.error().message;
  if (line[kRunIdBytes] == 'e') {
    EXPECT_EQ(run->state, model::RunState::succeeded);
  }
  const auto events = store.events("default", id, 0);
  ASSERT_TRUE(events.ok()) << events.error().message;
  // Nothing half done: the events, replayed, give the run.
  model::Run replayed = *run;
  replayed.state = model::RunState::queued;
  replayed.started_ms = replayed.ended_ms = replayed.attempt = 0;
  replayed.outcome.reset();
  replayed.usage = {};
  replayed.log_cut = false;
  for (std::size_t i = 1; i < events->size(); ++i) {
    auto next = model::advance(replayed, (*events)[i]);
    ASSERT_TRUE(next.ok());
    replayed = std::move(*next);
  }
  EXPECT_EQ(replayed, *run);
}

TEST(StoreCrash, every_acknowledged_run_is_there_after_a_kill) {
  const sql::TestFolder folder;
  const std::string path = folder.path("tare.db");
  SeededRandom random(3);
  std::size_t acknowledged = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto report = std::move(sys::make_pipe()).value();
    auto child = sys::fork_child();
    ASSERT_TRUE(child.ok()) << child.error().message;
    if (!child->valid())
      commit_for_ever(path, report.write.get(), static_cast<std::uint64_t>(round));
    report.write.reset();
    // At least one answer, then a moment that nobody chose.
    std::string said(kLine, '\0');
    ASSERT_EQ(::read(report.read.get(), said.data(), said.size()), static_cast<ssize_t>(kLine));
    ::usleep(static_cast<unsigned>(random.below(60'000)));
    ASSERT_TRUE(child->signal(SIGKILL).ok());
    const auto status = child->wait(nullptr);
    ASSERT_TRUE(status.ok() && status->signalled) << "the child gave up by itself";
    said += std::move(sys::read_all(report.read.get(), 1 << 20)).value();

    auto store = SqliteStore::open(path, {.quick_check = sql::QuickCheck::always}, 1);
    ASSERT_TRUE(store.ok()) << store.error().message;
    for (std::size_t at = 0; at + kLine <= said.size(); at += kLine) {
      ASSERT_NO_FATAL_FAILURE(expect_acknowledged(**store, said.substr(at, kLine)));
      ++acknowledged;
    }
    EXPECT_THAT((*store)->unfinished_runs()->damaged, ::testing::IsEmpty());
  }
  EXPECT_GE(acknowledged, static_cast<std::size_t>(kRounds));
}

}  // namespace
}  // namespace tare::runs
