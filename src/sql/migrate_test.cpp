#include "sql/migrate.h"

#include "sql/sqlite.h"

namespace tare::sql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Migration kFirst{1, "0001_a",
                           "CREATE TABLE a(n INTEGER) STRICT; CREATE INDEX ai ON a(n)"};
constexpr Migration kSecond{2, "0002_b", "CREATE TABLE b(n INTEGER) STRICT"};
constexpr Migration kBroken{2, "0002_broken",
                            "CREATE TABLE b(n INTEGER) STRICT; CREATE TABLE oops("};

class Migrations : public ::testing::Test {
 protected:
  Result<int> run(std::vector<Migration> steps) { return migrate(*database_, steps, 1); }
  std::vector<std::string> tables() { return std::move(database_->table_names()).value(); }
  std::unique_ptr<Sqlite> database_ = std::move(Sqlite::open_in_memory()).value();
};

TEST_F(Migrations, each_step_is_applied_once) {
  EXPECT_EQ(*run({kFirst}), 1);
  EXPECT_EQ(*run({kFirst}), 0);
  EXPECT_EQ(*run({kFirst, kSecond}), 1);
  EXPECT_EQ(*run({kFirst, kSecond}), 0);
  EXPECT_THAT(tables(), ElementsAre("a", "b", "schema_migrations"));
}

TEST_F(Migrations, a_step_that_fails_leaves_what_was_there) {
  ASSERT_EQ(*run({kFirst}), 1);
  const auto failed = run({kFirst, kBroken});
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("0002_broken"));
  EXPECT_THAT(tables(), ElementsAre("a", "schema_migrations"));
  EXPECT_EQ(*run({kFirst, kSecond}), 1);
}

TEST_F(Migrations, a_database_from_a_newer_program_is_refused) {
  ASSERT_EQ(*run({kFirst, kSecond}), 2);
  const auto refused = run({kFirst});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().message, HasSubstr("newer version of Tare"));
}

TEST_F(Migrations, a_step_that_was_changed_afterwards_is_refused) {
  ASSERT_EQ(*run({kFirst}), 1);
  Migration changed = kFirst;
  changed.script = "CREATE TABLE a(n INTEGER, m INTEGER) STRICT";
  const auto refused = run({changed});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("0001_a"));
}

TEST_F(Migrations, a_hole_in_the_history_is_refused) {
  ASSERT_EQ(*run({kFirst, kSecond}), 2);
  ASSERT_TRUE(database_->execute("DELETE FROM schema_migrations WHERE version = 1").ok());
  EXPECT_FALSE(run({kFirst, kSecond}).ok());
}

TEST_F(Migrations, somebody_elses_database_is_not_touched) {
  ASSERT_TRUE(database_->run_script("CREATE TABLE bookmarks(url TEXT) STRICT").ok());
  const auto refused = run({kFirst});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("bookmarks"));
  EXPECT_THAT(tables(), ElementsAre("bookmarks"));
}

TEST_F(Migrations, a_history_of_the_wrong_shape_is_an_error) {
  ASSERT_TRUE(database_
                  ->run_script("CREATE TABLE schema_migrations(version TEXT, name TEXT, checksum "
                               "TEXT); INSERT INTO schema_migrations VALUES('x', 'y', 'z')")
                  .ok());
  const auto refused = run({kFirst});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("schema_migrations"));
}

}  // namespace
}  // namespace tare::sql
