#include "sql/migrate.h"

#include <fmt/core.h>

#include "base/hash.h"

namespace tare::sql {

namespace {

struct Applied {
  std::int64_t version;
  std::string name, checksum;
};

Result<std::vector<Applied>> history(Database& database) {
  std::vector<Applied> applied;
  TRY(database
          .query("SELECT version, name, checksum FROM schema_migrations ORDER BY version", {},
                 [&](const Row& row) -> Result<> {
                   applied.push_back({TRY(row.integer(0)), TRY(row.string(1)), TRY(row.string(2))});
                   return ok();
                 })
          .context("schema_migrations"));
  return applied;
}

Result<> check_history(const std::vector<Applied>& applied, std::span<const Migration> known) {
  for (std::size_t i = 0; i < applied.size(); ++i) {
    const Applied& step = applied[i];
    if (step.version != static_cast<std::int64_t>(i) + 1) {
      return Error{Errc::conflict,
                   fmt::format("schema_migrations: step {} is missing; the database "
                               "was changed by hand: restore it from a backup",
                               i + 1)};
    }
    if (i >= known.size()) {
      return Error{Errc::conflict,
                   fmt::format("the database is at schema step {} ({}), this program knows {}: it "
                               "was used by a newer version of Tare; start that version",
                               applied.size(), applied.back().name, known.size())};
    }
    if (step.checksum != sha256_text(known[i].script)) {
      return Error{
          Errc::conflict,
          fmt::format("schema step {} ({}) was applied with another text than this program "
                      "has: the database belongs to a different build of Tare",
                      step.version, step.name)};
    }
  }
  return ok();
}

Result<> apply(Database& database, const Migration& step, std::uint64_t now_ms) {
  TRY(database.run_script(step.script).context(fmt::format("schema step {}", step.name)));
  const std::string checksum = sha256_text(step.script);
  TRY(database.execute(
      "INSERT INTO schema_migrations(version, name, checksum, applied_ms) "
      "VALUES(?1, ?2, ?3, ?4)",
      {std::int64_t{step.version}, step.name, checksum, TRY(as_integer(now_ms, "applied_ms"))}));
  return ok();
}

}  // namespace

Result<int> migrate(Database& database, std::span<const Migration> migrations,
                    std::uint64_t now_ms) {
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    CHECK(migrations[i].version == static_cast<int>(i) + 1);
  }
  auto transaction = TRY(Transaction::begin(database));
  const auto tables = TRY(database.table_names());
  const bool ours = std::find(tables.begin(), tables.end(), "schema_migrations") != tables.end();
  if (!ours && !tables.empty()) {
    return Error{Errc::conflict,
                 fmt::format("this is not a database of Tare (it has a table {} and "
                             "no schema_migrations)",
                             tables.front())};
  }
  // Types that every backend has, no STRICT: this table is made before the dialect matters.
  if (!ours) {
    TRY(database.run_script(
        "CREATE TABLE schema_migrations(version BIGINT PRIMARY KEY, "
        "name TEXT NOT NULL, checksum TEXT NOT NULL, applied_ms BIGINT NOT NULL)"));
  }
  const auto applied = TRY(history(database));
  TRY(check_history(applied, migrations));
  for (std::size_t i = applied.size(); i < migrations.size(); ++i) {
    TRY(apply(database, migrations[i], now_ms));
  }
  TRY(transaction.commit());
  return static_cast<int>(migrations.size() - applied.size());
}

}  // namespace tare::sql
