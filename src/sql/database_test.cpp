#include "sql/database.h"

#include "sql/sqlite.h"

namespace tare::sql {
namespace {

class Transactions : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = Sqlite::open_in_memory();
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    database_ = std::move(*opened);
    ASSERT_TRUE(database_->run_script("CREATE TABLE t(n INTEGER PRIMARY KEY) STRICT").ok());
  }
  Result<> insert(std::int64_t n) {
    TRY(database_->execute("INSERT INTO t(n) VALUES(?1)", {n}));
    return ok();
  }
  std::vector<std::int64_t> numbers() {
    std::vector<std::int64_t> found;
    const auto rows = database_->query("SELECT n FROM t ORDER BY n", {},
                                       [&](const Row& row) -> Result<> {
                                         found.push_back(TRY(row.integer(0)));
                                         return ok();
                                       });
    EXPECT_TRUE(rows.ok());
    return found;
  }
  std::unique_ptr<Sqlite> database_;
};

TEST_F(Transactions, a_committed_one_stays) {
  auto transaction = Transaction::begin(*database_);
  ASSERT_TRUE(transaction.ok());
  ASSERT_TRUE(insert(1).ok());
  EXPECT_TRUE(database_->in_transaction());
  ASSERT_TRUE(transaction->commit().ok());
  EXPECT_FALSE(database_->in_transaction());
  EXPECT_THAT(numbers(), ::testing::ElementsAre(1));
}

TEST_F(Transactions, one_that_goes_out_of_scope_leaves_no_trace) {
  {
    auto transaction = Transaction::begin(*database_);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(insert(1).ok());
  }
  EXPECT_FALSE(database_->in_transaction());
  EXPECT_THAT(numbers(), ::testing::IsEmpty());
}

TEST_F(Transactions, an_inner_one_is_undone_alone) {
  auto outer = Transaction::begin(*database_);
  ASSERT_TRUE(outer.ok());
  ASSERT_TRUE(insert(1).ok());
  {
    auto inner = Transaction::begin(*database_);
    ASSERT_TRUE(inner.ok());
    ASSERT_TRUE(insert(2).ok());
  }
  {
    auto inner = Transaction::begin(*database_);
    ASSERT_TRUE(inner.ok());
    ASSERT_TRUE(insert(3).ok());
    ASSERT_TRUE(inner->commit().ok());
  }
  ASSERT_TRUE(outer->commit().ok());
  EXPECT_THAT(numbers(), ::testing::ElementsAre(1, 3));
}

TEST_F(Transactions, a_committed_inner_one_goes_with_the_outer_one) {
  {
    auto outer = Transaction::begin(*database_);
    ASSERT_TRUE(outer.ok());
    auto inner = Transaction::begin(*database_);
    ASSERT_TRUE(inner.ok());
    ASSERT_TRUE(insert(1).ok());
    ASSERT_TRUE(inner->commit().ok());
  }
  EXPECT_THAT(numbers(), ::testing::IsEmpty());
}

// SQLite ends the whole transaction by itself on some errors; ON CONFLICT ROLLBACK does it on
// purpose.
TEST_F(Transactions, a_statement_after_a_rollback_behind_our_back_is_refused) {
  auto outer = Transaction::begin(*database_);
  ASSERT_TRUE(outer.ok());
  ASSERT_TRUE(insert(1).ok());
  EXPECT_FALSE(database_->execute("INSERT OR ROLLBACK INTO t(n) VALUES(1)").ok());
  EXPECT_FALSE(insert(2).ok());
  EXPECT_FALSE(Transaction::begin(*database_).ok());
  const auto committed = outer->commit();
  ASSERT_FALSE(committed.ok());
  EXPECT_THAT(committed.error().message, ::testing::HasSubstr("rolled back"));
  {
    auto gone = std::move(*outer);
  }
  EXPECT_THAT(numbers(), ::testing::IsEmpty());
  EXPECT_TRUE(insert(3).ok());
}

TEST(AsInteger, refuses_what_no_column_can_hold) {
  EXPECT_EQ(*as_integer(7, "n"), 7);
  const auto refused = as_integer(std::uint64_t{1} << 63, "created_ms");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::invalid);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("created_ms"));
}

}  // namespace
}  // namespace tare::sql
