// Runners, roll-outs and reports of SqliteStore.
#include <fmt/core.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/text.h"
#include "runs/rows.h"
#include "runs/store_sqlite.h"

namespace tare::runs {

namespace {

using sql::as_integer;
using sql::Row;
using sql::Transaction;

constexpr std::string_view kColumns = "SELECT tenant, name, version, digest, runner FROM runners ";

Result<> check_before(const model::SessionRunner& runner) {
  if (runner.confirmed) return ok();
  TRY(model::parse_runner_ref(runner.before).context("the runner before"));
  TRY(parse_digest(runner.before_digest));
  return ok();
}

}  // namespace

Result<StoredRunner> SqliteStore::put_runner(const model::Runner& runner) {
  TRY(check_name("tenant", runner.tenant));
  TRY(check_name("name", runner.manifest.name));
  auto transaction = TRY(Transaction::begin(*database_));
  auto there = get_runner(runner.tenant, runner.manifest.name, runner.manifest.version);
  if (!there && there.error().code != Errc::not_found) return std::move(there).error();
  if (there && there->digest == runner.digest && there->manifest == runner.manifest)
    return StoredRunner{std::move(*there), true};
  if (there) {
    return Error{Errc::conflict,
                 fmt::format("runner {} is there with other files: give this one another version "
                             "in runner.toml",
                             runner.reference())};
  }
  const std::string text = TRY(to_stored(runner));
  TRY(
      database_->execute("INSERT INTO runners(tenant, name, version, digest, created_ms, runner) "
                         "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                         {runner.tenant, runner.manifest.name, runner.manifest.version,
                          runner.digest, TRY(as_integer(runner.created_ms, "created_ms")), text}));
  TRY(transaction.commit());
  return StoredRunner{runner, false};
}

Result<model::Runner> SqliteStore::get_runner(std::string_view tenant, std::string_view name,
                                              std::string_view version) {
  std::optional<model::Runner> found;
  const auto take = [&](const Row& row) -> Result<> {
    found = TRY(read_runner_row(row));
    return ok();
  };
  TRY(database_->query(std::string(kColumns) +
                           "WHERE tenant = ?1 AND name = ?2 AND (?3 = '' OR version = ?3) "
                           "ORDER BY rowid DESC LIMIT 1",
                       {tenant, name, version}, take));
  if (found) return std::move(*found);
  const std::string which = version.empty() ? std::string() : fmt::format("@{}", version);
  return Error{Errc::not_found, fmt::format("there is no runner {}; `tare runner add DIR` adds one",
                                            quote(std::string(name) + which))};
}

Result<std::vector<model::Runner>> SqliteStore::list_runners(std::string_view tenant) {
  std::vector<model::Runner> found;
  TRY(database_->query(std::string(kColumns) + "WHERE tenant = ?1 ORDER BY name, rowid", {tenant},
                       [&](const Row& row) -> Result<> {
                         found.push_back(TRY(read_runner_row(row)));
                         return ok();
                       }));
  return found;
}

Result<> SqliteStore::delete_runner(std::string_view tenant, std::string_view name,
                                    std::string_view version) {
  auto transaction = TRY(Transaction::begin(*database_));
  TRY(get_runner(tenant, name, version));
  TRY(database_->execute("DELETE FROM runners WHERE tenant = ?1 AND name = ?2 AND version = ?3",
                         {tenant, name, version}));
  return transaction.commit();
}

Result<model::Rollout> SqliteStore::add_rollout(std::string_view tenant, std::string_view agent,
                                                const model::Rollout& rollout) {
  TRY(check_name("agent", agent));
  auto transaction = TRY(Transaction::begin(*database_));
  model::Rollout stored = rollout;
  stored.sequence = 1;
  const auto newest = TRY(rollouts(tenant, agent, 1));
  if (!newest.empty()) stored.sequence = newest.front().sequence + 1;
  const std::string text = TRY(to_stored(stored));
  TRY(database_->execute(
      "INSERT INTO rollouts(tenant, agent, sequence, rollout) VALUES(?1, ?2, ?3, ?4)",
      {tenant, agent, TRY(as_integer(stored.sequence, "sequence")), text}));
  // Who says something every second must not fill the disk.
  const std::uint64_t kept = stored.sequence - std::min(stored.sequence, kMaxRollouts);
  TRY(database_->execute("DELETE FROM rollouts WHERE tenant = ?1 AND agent = ?2 AND sequence <= ?3",
                         {tenant, agent, TRY(as_integer(kept, "sequence"))}));
  TRY(transaction.commit());
  return stored;
}

Result<std::vector<model::Rollout>> SqliteStore::rollouts(std::string_view tenant,
                                                          std::string_view agent,
                                                          std::size_t limit) {
  std::vector<model::Rollout> found;
  TRY(database_->query(
      "SELECT sequence, rollout FROM rollouts WHERE tenant = ?1 AND agent = ?2 "
      "ORDER BY sequence DESC LIMIT ?3",
      {tenant, agent, static_cast<std::int64_t>(limit)}, [&](const Row& row) -> Result<> {
        found.push_back(TRY(read_rollout_row(row)));
        return ok();
      }));
  return found;
}

Result<> SqliteStore::each_rollout(
    std::string_view tenant,
    const std::function<Result<>(std::string_view agent, const model::Rollout&)>& take) {
  TRY(database_->query(
      "SELECT sequence, rollout, agent FROM rollouts AS r WHERE tenant = ?1 AND sequence = "
      "(SELECT max(sequence) FROM rollouts WHERE tenant = r.tenant AND agent = r.agent) "
      "ORDER BY agent",
      {tenant}, [&](const Row& row) -> Result<> {
        return take(TRY(row.text(2)), TRY(read_rollout_row(row)));
      }));
  return ok();
}

Result<> SqliteStore::put_report(std::string_view tenant, std::string_view run_id,
                                 std::string_view report) {
  if (report.size() > kMaxStoredJsonBytes)
    return Error{Errc::exhausted, "the report is too long to be stored"};
  TRY(
      database_->execute("INSERT INTO run_reports(tenant, run_id, report) VALUES(?1, ?2, ?3) "
                         "ON CONFLICT (tenant, run_id) DO UPDATE SET report = excluded.report",
                         {tenant, run_id, report}));
  return ok();
}

Result<std::string> SqliteStore::get_report(std::string_view tenant, std::string_view run_id) {
  std::string found;
  TRY(database_->query("SELECT report FROM run_reports WHERE tenant = ?1 AND run_id = ?2",
                       {tenant, run_id}, [&](const Row& row) -> Result<> {
                         found = TRY(row.text(0));
                         return ok();
                       }));
  return found;
}

Result<> SqliteStore::put_session_runner(std::string_view tenant, std::string_view run_id,
                                         const model::SessionRunner& runner) {
  TRY(model::parse_runner_ref(runner.reference));
  TRY(parse_digest(runner.digest));
  TRY(check_before(runner));
  TRY(database_->execute(
      "INSERT INTO session_runners"
      "(tenant, run_id, runner, digest, confirmed, before, before_digest) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant, run_id) DO UPDATE SET "
      "runner = excluded.runner, digest = excluded.digest, confirmed = excluded.confirmed, "
      "before = excluded.before, before_digest = excluded.before_digest",
      {tenant, run_id, runner.reference, runner.digest, std::int64_t{runner.confirmed ? 1 : 0},
       runner.before, runner.before_digest}));
  return ok();
}

Result<std::optional<model::SessionRunner>> SqliteStore::get_session_runner(
    std::string_view tenant, std::string_view run_id) {
  std::optional<model::SessionRunner> found;
  TRY(database_->query(
      "SELECT runner, digest, confirmed, before, before_digest FROM session_runners "
      "WHERE tenant = ?1 AND run_id = ?2",
      {tenant, run_id}, [&](const Row& row) -> Result<> {
        found.emplace();
        found->reference = TRY(row.text(0));
        found->digest = TRY(row.text(1));
        found->confirmed = TRY(row.boolean(2));
        found->before = TRY(row.text(3));
        found->before_digest = TRY(row.text(4));
        TRY(model::parse_runner_ref(found->reference));
        TRY(parse_digest(found->digest));
        return check_before(*found);
      }));
  return found;
}

}  // namespace tare::runs
