#include "sql/group_commit.h"

#include <latch>

#include "sql/sqlite.h"
#include "sql/test_folder.h"

namespace tare::sql {
namespace {

class GroupCommit : public ::testing::Test {
 protected:
  GroupCommit()
      : database_(std::move(Sqlite::open(folder_.path("a.db"), SqliteOptions{})).value()) {
    CHECK(database_->run_script("CREATE TABLE t(n INTEGER PRIMARY KEY) STRICT").ok());
  }
  Result<std::int64_t> insert(std::int64_t n) {
    TRY(database_->execute("INSERT INTO t(n) VALUES(?1)", {n}));
    return n;
  }
  std::int64_t count() {
    std::int64_t rows = -1;
    const auto asked = database_->query("SELECT count(*) FROM t", {},
                                        [&](const Row& row) -> Result<> {
                                          rows = TRY(row.integer(0));
                                          return ok();
                                        });
    EXPECT_TRUE(asked.ok());
    return rows;
  }
  TestFolder folder_;
  std::unique_ptr<Sqlite> database_;
};

TEST_F(GroupCommit, operations_that_wait_together_share_one_commit) {
  constexpr std::int64_t kOperations = 100;
  std::latch gate(1);
  std::int64_t answered = 0;  // only touched by the committer's thread, read after it has ended
  {
    GroupCommitter committer(*database_, GroupCommitter::Options{});
    committer.submit(
        [&] {
          gate.wait();
          return insert(0);
        },
        [&](Result<std::int64_t>) {});
    for (std::int64_t n = 1; n <= kOperations; ++n) {
      committer.submit(
          [this, n] { return insert(n); },
          [&answered](Result<std::int64_t> result) { answered += result.ok() ? 1 : 0; });
    }
    gate.count_down();
    EXPECT_EQ(*committer.run([this] { return insert(1000); }), 1000);
    EXPECT_EQ(committer.operations(), static_cast<std::uint64_t>(kOperations) + 2);
    EXPECT_LE(committer.commits(), 3U);
  }
  EXPECT_EQ(answered, kOperations);
  EXPECT_EQ(count(), kOperations + 2);
}

TEST_F(GroupCommit, a_refused_operation_undoes_only_itself) {
  std::latch gate(1);
  std::vector<bool> outcomes;
  {
    GroupCommitter committer(*database_, GroupCommitter::Options{});
    const auto note = [&](Result<std::int64_t> result) { outcomes.push_back(result.ok()); };
    committer.submit(
        [&] {
          gate.wait();
          return insert(1);
        },
        note);
    committer.submit([&] { return insert(2); }, note);
    committer.submit(
        [&]() -> Result<std::int64_t> {
          TRY(insert(3));
          return Error{Errc::conflict, "changed my mind"};
        },
        note);
    committer.submit([&] { return insert(4); }, note);
    gate.count_down();
  }
  EXPECT_THAT(outcomes, ::testing::ElementsAre(true, true, false, true));
  EXPECT_EQ(count(), 3);
}

TEST_F(GroupCommit, when_the_transaction_is_lost_nobody_is_told_that_it_worked) {
  std::latch gate(1);
  std::vector<bool> outcomes;
  {
    GroupCommitter committer(*database_, GroupCommitter::Options{});
    const auto note = [&](Result<std::int64_t> result) { outcomes.push_back(result.ok()); };
    committer.submit(
        [&] {
          gate.wait();
          return Result<std::int64_t>(0);
        },
        [](Result<std::int64_t>) {});
    committer.submit([&] { return insert(1); }, note);
    committer.submit(
        [&]() -> Result<std::int64_t> {
          TRY(database_->execute("INSERT OR ROLLBACK INTO t(n) VALUES(1)"));
          return 0;
        },
        note);
    committer.submit([&] { return insert(2); }, note);
    gate.count_down();
    static_cast<void>(committer.run([] { return Result<>(); }));  // may still share their fate
    EXPECT_TRUE(committer.run([&] { return insert(7); }).ok());   // and it goes on
  }
  EXPECT_THAT(outcomes, ::testing::ElementsAre(false, false, false));
  EXPECT_EQ(count(), 1);
}

TEST_F(GroupCommit, what_nobody_waits_for_shares_the_commit_of_what_somebody_does) {
  std::vector<int> order;
  {
    GroupCommitter committer(*database_, GroupCommitter::Options{.soon_ms = 3'600'000});
    committer.submit_soon([&] { return insert(1); },
                          [&](Result<std::int64_t>) { order.push_back(1); });
    EXPECT_TRUE(committer.run([&] { return insert(2); }).ok());
    EXPECT_EQ(committer.commits(), 1U);
    committer.submit_soon([&] { return insert(3); },
                          [&](Result<std::int64_t>) { order.push_back(3); });
  }  // the end waits for nobody
  EXPECT_THAT(order, ::testing::ElementsAre(1, 3));
  EXPECT_EQ(count(), 3);
}

TEST_F(GroupCommit, what_nobody_waits_for_is_committed_soon_all_the_same) {
  std::latch done(1);
  GroupCommitter committer(*database_, GroupCommitter::Options{.soon_ms = 1});
  committer.submit_soon([&] { return insert(1); },
                        [&](Result<std::int64_t>) { done.count_down(); });
  done.wait();
}

TEST_F(GroupCommit, a_full_queue_refuses_at_once) {
  std::latch gate(1), taken(1);
  GroupCommitter committer(*database_, GroupCommitter::Options{.max_queued = 2, .max_batch = 512});
  const auto ignore = [](Result<std::int64_t>) {};
  committer.submit(
      [&] {
        taken.count_down();
        gate.wait();
        return insert(1);
      },
      ignore);
  taken.wait();
  committer.submit([&] { return insert(2); }, ignore);
  committer.submit([&] { return insert(3); }, ignore);
  std::optional<Errc> refused;
  committer.submit([&] { return insert(4); },
                   [&](Result<std::int64_t> result) {
                     if (!result) refused = result.error().code;
                   });
  EXPECT_EQ(refused, Errc::exhausted);
  gate.count_down();
}

TEST_F(GroupCommit, threads_that_wait_are_all_answered) {
  constexpr int kThreads = 8, kEach = 50;
  {
    GroupCommitter committer(*database_, GroupCommitter::Options{});
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          if (committer.run([&] { return insert(t * kEach + i); }).ok()) ++good;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(good, kThreads * kEach);
    EXPECT_LE(committer.commits(), committer.operations());
  }
  EXPECT_EQ(count(), kThreads * kEach);
}

}  // namespace
}  // namespace tare::sql
