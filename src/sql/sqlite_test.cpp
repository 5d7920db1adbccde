#include "sql/sqlite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "sql/test_folder.h"

namespace tare::sql {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Sqlite> must_open(const std::string& path) {
  auto opened = Sqlite::open(path, SqliteOptions{.quick_check = QuickCheck::always});
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return opened ? std::move(*opened) : nullptr;
}

std::string answer(Sqlite& database, std::string_view statement) {
  std::string text;
  const auto rows = database.query(statement, {}, [&](const Row& row) -> Result<> {
    auto value = row.text(0);
    text = value ? std::string(*value) : std::to_string(TRY(row.integer(0)));
    return ok();
  });
  EXPECT_TRUE(rows.ok()) << rows.error().message;
  return text;
}

TEST(Sqlite, the_file_and_its_companions_are_private) {
  const TestFolder folder;
  const auto database = must_open(folder.path("a.db"));
  ASSERT_TRUE(database->run_script("CREATE TABLE t(n INTEGER) STRICT").ok());
  for (const char* name : {"a.db", "a.db-wal", "a.db-shm"}) {
    struct stat status{};
    ASSERT_EQ(::stat(folder.path(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600U) << name;
  }
}

TEST(Sqlite, a_file_that_others_could_read_is_made_private) {
  const TestFolder folder;
  must_open(folder.path("a.db")).reset();
  ASSERT_EQ(::chmod(folder.path("a.db").c_str(), 0644), 0);
  must_open(folder.path("a.db")).reset();
  struct stat status{};
  ASSERT_EQ(::stat(folder.path("a.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(Sqlite, its_log_has_its_usual_size_from_the_start_and_commits_do_not_grow_it) {
  const TestFolder folder;
  const auto database = must_open(folder.path("a.db"));
  struct stat before{};
  ASSERT_EQ(::stat(folder.path("a.db-wal").c_str(), &before), 0);
  EXPECT_GT(before.st_size, 4 << 20);
  ASSERT_TRUE(database->run_script("CREATE TABLE t(n INTEGER) STRICT").ok());
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(database->run_script("INSERT INTO t VALUES(1)").ok());
  struct stat after{};
  ASSERT_EQ(::stat(folder.path("a.db-wal").c_str(), &after), 0);
  EXPECT_EQ(after.st_size, before.st_size);
}

// The files as a power cut would leave them: the zeros behind the last frame are no frames.
TEST(Sqlite, what_was_committed_is_read_back_from_a_log_with_zeros_behind_it) {
  const TestFolder folder;
  const TestFolder later;
  const auto database = must_open(folder.path("a.db"));
  ASSERT_TRUE(database->run_script("CREATE TABLE t(n INTEGER) STRICT").ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(database->run_script("INSERT INTO t VALUES(1)").ok());
  for (const char* name : {"a.db", "a.db-wal"})
    std::filesystem::copy_file(folder.path(name), later.path(name));
  EXPECT_EQ(answer(*must_open(later.path("a.db")), "SELECT count(*) FROM t"), "20");
}

TEST(Sqlite, a_symlink_is_not_followed) {
  const TestFolder folder;
  must_open(folder.path("real.db")).reset();
  ASSERT_EQ(::symlink("real.db", folder.path("link.db").c_str()), 0);
  const auto opened = Sqlite::open(folder.path("link.db"), SqliteOptions{});
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("link.db"));
}

TEST(Sqlite, what_durability_needs_is_on) {
  const TestFolder folder;
  const auto database = must_open(folder.path("a.db"));
  EXPECT_EQ(answer(*database, "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(answer(*database, "PRAGMA synchronous"), "2");  // FULL
  EXPECT_EQ(answer(*database, "PRAGMA foreign_keys"), "1");
  EXPECT_EQ(answer(*database, "PRAGMA busy_timeout"), "5000");
}

TEST(Sqlite, a_file_that_is_no_database_is_refused) {
  const TestFolder folder;
  ASSERT_TRUE(
      sys::write_file_atomic(sys::kCwd, folder.path("a.db"), std::string(8192, 'x'), 0600).ok());
  const auto opened = Sqlite::open(folder.path("a.db"), SqliteOptions{});
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("not a database"));
}

TEST(Sqlite, a_damaged_page_is_found_when_opening) {
  const TestFolder folder;
  const std::string path = folder.path("a.db");
  {
    const auto database = must_open(path);
    ASSERT_TRUE(database->run_script("CREATE TABLE t(n INTEGER PRIMARY KEY, x TEXT) STRICT").ok());
    for (std::int64_t n = 0; n < 200; ++n) {
      ASSERT_TRUE(
          database->execute("INSERT INTO t VALUES(?1, ?2)", {n, std::string(300, 'a')}).ok());
    }
  }
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::pwrite(fd, std::string(4096, '\xff').data(), 4096, 4096 * 3), 4096);
  ::close(fd);
  const auto opened = Sqlite::open(path, SqliteOptions{.quick_check = QuickCheck::always});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Errc::internal);
  EXPECT_THAT(opened.error().message, HasSubstr("damaged"));
}

TEST(Sqlite, a_second_connection_waits_and_then_says_that_it_is_locked) {
  const TestFolder folder;
  const auto first = must_open(folder.path("a.db"));
  auto second = Sqlite::open(folder.path("a.db"), SqliteOptions{.busy_timeout_ms = 1});
  ASSERT_TRUE(second.ok());
  auto held = Transaction::begin(*first);
  ASSERT_TRUE(held.ok());
  const auto refused = Transaction::begin(**second);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::unavailable);
  EXPECT_FALSE((*second)->in_transaction());
}

class SqliteStatements : public ::testing::Test {
 protected:
  SqliteStatements() : database_(std::move(Sqlite::open_in_memory()).value()) {
    CHECK(database_->run_script("CREATE TABLE t(a TEXT PRIMARY KEY, n INTEGER) STRICT").ok());
  }
  std::unique_ptr<Sqlite> database_;
};

TEST_F(SqliteStatements, every_kind_of_parameter_comes_back_as_it_was) {
  const std::string bytes("nul\0inside", 10);
  ASSERT_EQ(*database_->execute("INSERT INTO t VALUES(?1, ?2)", {bytes, std::int64_t{-5}}), 1U);
  ASSERT_EQ(*database_->execute("INSERT INTO t VALUES(?1, ?2)", {"", std::monostate{}}), 1U);
  std::vector<std::string> seen;
  const auto rows = database_->query(
      "SELECT a, n FROM t ORDER BY a", {}, [&](const Row& row) -> Result<> {
        seen.push_back(TRY(row.string(0)) +
                       (row.is_null(1) ? "|null" : "|" + std::to_string(TRY(row.integer(1)))));
        return ok();
      });
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, 2U);
  EXPECT_THAT(seen, ::testing::ElementsAre("|null", bytes + "|-5"));
}

TEST_F(SqliteStatements, execute_tells_how_many_rows_changed) {
  ASSERT_TRUE(database_->run_script("INSERT INTO t VALUES('a', 1), ('b', 1), ('c', 2)").ok());
  EXPECT_EQ(*database_->execute("UPDATE t SET n = 9 WHERE n = ?1", {std::int64_t{1}}), 2U);
  EXPECT_EQ(*database_->execute("UPDATE t SET n = 9 WHERE n = ?1", {std::int64_t{1}}), 0U);
}

TEST_F(SqliteStatements, a_key_that_exists_is_a_conflict_and_the_error_names_the_statement) {
  ASSERT_TRUE(database_->execute("INSERT INTO t VALUES('a', 1)").ok());
  const auto refused = database_->execute("INSERT INTO t VALUES('a', 2)");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().message, HasSubstr("INSERT INTO t VALUES('a', 2)"));
}

TEST_F(SqliteStatements, a_wrong_statement_is_an_error_not_a_crash) {
  const auto refused = database_->execute("INSERT INTO nowhere VALUES(1)");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("nowhere"));
}

TEST_F(SqliteStatements, a_column_of_another_type_is_an_error_naming_it) {
  ASSERT_TRUE(database_->execute("INSERT INTO t VALUES('a', -1)").ok());
  const auto read = [&](auto get) {
    return database_->query("SELECT a, n FROM t", {}, [&](const Row& row) -> Result<> {
      TRY(get(row));
      return ok();
    });
  };
  const auto number = read([](const Row& row) { return row.integer(0); });
  ASSERT_FALSE(number.ok());
  EXPECT_THAT(number.error().message, HasSubstr("column 0 (a): expected an integer, found text"));
  EXPECT_FALSE(read([](const Row& row) { return row.text(1); }).ok());
  EXPECT_FALSE(read([](const Row& row) { return row.unsigned_integer(1); }).ok());
  EXPECT_FALSE(read([](const Row& row) { return row.boolean(1); }).ok());
  EXPECT_TRUE(read([](const Row& row) { return row.integer(1); }).ok());
}

TEST_F(SqliteStatements, a_visitor_can_ask_the_same_question_again) {
  ASSERT_TRUE(database_->run_script("INSERT INTO t VALUES('a', 1), ('b', 2)").ok());
  int inner = 0;
  const auto rows = database_->query("SELECT a FROM t", {}, [&](const Row&) -> Result<> {
    TRY(database_->query("SELECT a FROM t", {}, [&](const Row&) -> Result<> {
      ++inner;
      return ok();
    }));
    return ok();
  });
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, 2U);
  EXPECT_EQ(inner, 4);
}

TEST_F(SqliteStatements, more_statements_than_the_cache_holds_still_work) {
  for (std::size_t i = 0; i < Sqlite::kMaxCachedStatements * 3; ++i) {
    const std::string statement = "SELECT " +
                                  std::to_string(i % (Sqlite::kMaxCachedStatements + 7));
    EXPECT_EQ(answer(*database_, statement),
              std::to_string(i % (Sqlite::kMaxCachedStatements + 7)));
  }
}

TEST_F(SqliteStatements, the_tables_are_listed_without_the_backends_own) {
  const auto names = database_->table_names();
  ASSERT_TRUE(names.ok());
  EXPECT_THAT(*names, ::testing::ElementsAre("t"));
}

}  // namespace
}  // namespace tare::sql
