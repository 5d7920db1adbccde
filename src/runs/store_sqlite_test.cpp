#include "runs/store_sqlite.h"

#include "runs/schema.h"
#include "runs/test_store.h"
#include "sql/group_commit.h"
#include "sql/test_folder.h"

namespace tare::runs {
namespace {

std::unique_ptr<SqliteStore> must_open(const std::string& path) {
  auto opened = SqliteStore::open(path, sql::SqliteOptions{}, 1);
  CHECK(opened.ok());
  return std::move(*opened);
}

class SqliteTestStore final : public TestStore {
 public:
  Store& store() override { return *store_; }
  void reopen() override {
    store_.reset();
    store_ = must_open(folder_.path("tare.db"));
  }
  void damage(std::string_view statement) override {
    CHECK(store_->database().run_script(statement).ok());
  }

 private:
  sql::TestFolder folder_;
  std::unique_ptr<SqliteStore> store_ = must_open(folder_.path("tare.db"));
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance,
                         ::testing::Values(StoreBackend{
                             "sqlite", [] { return std::make_unique<SqliteTestStore>(); }}),
                         [](const auto& param) { return param.param.name; });

TEST(SqliteStore, a_file_of_another_program_is_refused) {
  const sql::TestFolder folder;
  {
    auto other = sql::Sqlite::open(folder.path("tare.db"), sql::SqliteOptions{});
    ASSERT_TRUE((*other)->run_script("CREATE TABLE notes(n TEXT)").ok());
  }
  const auto refused = SqliteStore::open(folder.path("tare.db"), sql::SqliteOptions{}, 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("tare.db"));
}

TEST(SqliteStore, the_schema_itself_refuses_what_cannot_be) {
  const sql::TestFolder folder;
  const auto store = must_open(folder.path("tare.db"));
  const model::Run run = a_run();
  ASSERT_TRUE(store->create_run(run, "").ok());
  for (const char* wrong :
       {"UPDATE runs SET state = 'finished'", "UPDATE runs SET state = 'failed'",
        "UPDATE runs SET outcome = '{}'", "UPDATE runs SET created_ms = -1",
        "UPDATE runs SET created_ms = 'soon'", "UPDATE runs SET log_cut = 2",
        "INSERT INTO run_events VALUES('default', 'run_none', 1, 1, 'created', '{}')"}) {
    EXPECT_FALSE(store->database().run_script(wrong).ok()) << wrong;
  }
}

// Before 0006 the names had them, and may have had those of another digest.
TEST(SqliteStore, flat_layers_that_names_had_are_kept_and_not_mounted) {
  const sql::TestFolder folder;
  const auto digest = [](char c) { return "sha256:" + std::string(64, c); };
  model::Environment one = an_environment("one", "box", '1');
  one.layers = {digest('2'), digest('3')};
  one.flat = {digest('2'), digest('a')};
  one.flat_depth = 2;
  model::Environment two = one;
  two.name = "two";
  two.flat_older = {digest('b')};
  const model::Environment plain = an_environment("three", "box", '4');
  {
    const auto before = sql::Sqlite::open(folder.path("tare.db"), sql::SqliteOptions{});
    ASSERT_TRUE(sql::migrate(**before, migrations().first(5), 1).ok());
    const auto put = [&](const std::string& name, const std::string& of, const std::string& text) {
      return (*before)
          ->execute("INSERT INTO environments VALUES('default', ?1, 'box', ?2, 1, ?3)",
                    {name, of, text})
          .ok();
    };
    for (const auto& each : {one, two, plain})
      ASSERT_TRUE(put(each.name, each.digest, to_text(model::to_json(each))));
    ASSERT_TRUE(put("damaged", digest('5'), "oops"));
    ASSERT_TRUE(put("damaged, too", digest('6'), "null"));
  }
  const auto store = must_open(folder.path("tare.db"));
  const auto flat = store->flat_layers("default");
  ASSERT_EQ(flat->size(), 1U);
  EXPECT_EQ(
      flat->at(one.digest),
      (model::FlatLayers{.of = {}, .flat = {}, .older = {digest('2'), digest('a'), digest('b')}}));
  EXPECT_TRUE(store->get_environment("default", "two")->flat.empty());
  EXPECT_EQ(*store->get_environment("default", "three"), plain);
  EXPECT_EQ(store->get_environment("default", "damaged").error().code, Errc::internal);
}

TEST(SqliteStore, every_migration_has_the_number_of_its_file) {
  int version = 0;
  for (const auto& step : migrations()) {
    ++version;
    EXPECT_EQ(step.version, version);
    EXPECT_EQ(step.name.substr(0, 4), fmt::format("{:04}", version));
  }
  EXPECT_GE(version, 1);
}

TEST(SqliteStore, many_callers_share_commits_and_a_conflict_spoils_nothing) {
  const sql::TestFolder folder;
  const auto store = must_open(folder.path("tare.db"));
  constexpr int kThreads = 4, kEach = 25;
  std::vector<model::Run> all;
  for (int i = 0; i < kThreads * kEach; ++i) {
    all.push_back(a_run());
    // Every fifth repeats the key of the one before with another request: refused.
    all.back().request.idempotency_key = fmt::format("key-{}", i % 5 == 4 ? i - 1 : i);
    if (i % 5 == 4) all.back().request.argv.emplace_back("other");
  }
  std::atomic<int> good{0}, conflicts{0};
  {
    sql::GroupCommitter committer(store->database(), {});
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = t * kEach; i < (t + 1) * kEach; ++i) {
          const auto created = committer.run(
              [&] { return store->create_run(all[static_cast<std::size_t>(i)], ""); });
          if (created) ++good;
          if (!created && created.error().code == Errc::conflict) ++conflicts;
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(good, kThreads * kEach * 4 / 5);
  EXPECT_EQ(conflicts, kThreads * kEach / 5);
  EXPECT_EQ(store->unfinished_runs()->runs.size(), static_cast<std::size_t>(good));
}

}  // namespace
}  // namespace tare::runs
