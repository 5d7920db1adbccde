#include "runs/store_sqlite.h"

#include <fmt/core.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/text.h"
#include "model/run_json.h"
#include "runs/rows.h"
#include "runs/schema.h"

namespace tare::runs {

namespace {

using sql::as_integer;
using sql::Row;
using sql::Transaction;

constexpr model::RunState kAllStates[] = {model::RunState::queued,    model::RunState::starting,
                                          model::RunState::running,   model::RunState::hibernated,
                                          model::RunState::succeeded, model::RunState::failed,
                                          model::RunState::cancelled};

Result<std::size_t> checked_limit(std::size_t limit) {
  if (limit >= 1 && limit <= kMaxListedRuns) return limit;
  return Error{Errc::invalid, fmt::format("limit: {} is not from 1 to {}", limit, kMaxListedRuns)};
}

Error no_such_run(std::string_view run_id) {
  return Error{Errc::not_found,
               fmt::format("there is no run {}: `tare ps -a` lists them", quote(run_id))};
}

Result<std::optional<RunRow>> find_run(sql::Database& database, std::string_view tenant,
                                       std::string_view run_id) {
  std::optional<RunRow> found;
  static const std::string statement = fmt::format(
      "SELECT {} FROM runs WHERE tenant = ?1 AND id = ?2", kRunColumns);
  TRY(database.query(statement, {tenant, run_id}, [&](const Row& row) -> Result<> {
    found = TRY(read_run_row(row));
    return ok();
  }));
  return found;
}

Result<RunRow> must_find_run(sql::Database& database, std::string_view tenant,
                             std::string_view run_id) {
  auto found = TRY(find_run(database, tenant, run_id));
  if (!found) return no_such_run(run_id);
  return std::move(*found);
}

// A run as create_run takes it: nothing has happened to it yet.
Result<> check_new(const model::Run& run) {
  TRY(check_name("tenant", run.tenant));
  if (!is_run_id(run.id)) return Error{Errc::invalid, "id: not a run id"};
  model::Run fresh;
  fresh.tenant = run.tenant;
  fresh.id = run.id;
  fresh.request = run.request;
  fresh.created_ms = run.created_ms;
  fresh.own = run.own;  // of a session that is a fork
  if (run == fresh && run.created_ms > 0) return ok();
  return Error{Errc::invalid, fmt::format("run {}: not a new run", run.id)};
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path,
                                                       const sql::SqliteOptions& options,
                                                       std::uint64_t now_ms) {
  auto store = open(TRY(sql::Sqlite::open(path, options)), now_ms);
  return std::move(store).context("database " + path);
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(std::unique_ptr<sql::Sqlite> database,
                                                       std::uint64_t now_ms) {
  TRY(sql::migrate(*database, migrations(), now_ms));
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(database)));
}

Result<CreatedRun> SqliteStore::create_run(const model::Run& run, std::string_view request_digest) {
  TRY(check_new(run));
  const std::string request = TRY(to_stored(run.request));
  const std::string digest = request_digest.empty()
                                 ? sha256_text(canonical_text(model::to_json(run.request)))
                                 : std::string(request_digest);
  auto transaction = TRY(Transaction::begin(*database_));
  auto existing = TRY(find_by_key(run, digest));
  if (existing) return std::move(*existing);
  model::RunEvent created;
  created.sequence = 1;
  created.at_ms = run.created_ms;
  created.type = model::RunEventType::created;
  TRY(insert_run(run, request, digest));
  TRY(insert_event(run, created));
  TRY(transaction.commit());
  return CreatedRun{run, false};
}

Result<std::optional<CreatedRun>> SqliteStore::find_by_key(const model::Run& run,
                                                           std::string_view digest) {
  const std::string& key = run.request.idempotency_key;
  if (key.empty()) return std::optional<CreatedRun>();
  std::optional<std::string> id;
  bool same = false;
  TRY(database_->query(
      "SELECT id, request_digest FROM runs WHERE tenant = ?1 AND idempotency_key = ?2",
      {run.tenant, key}, [&](const Row& row) -> Result<> {
        id = TRY(row.string(0));
        same = TRY(row.text(1)) == digest;
        return ok();
      }));
  if (!id) return std::optional<CreatedRun>();
  if (!same) {
    return Error{Errc::conflict,
                 fmt::format("idempotency_key: {} was used for another request, run {}; use a new "
                             "key for a new request",
                             quote(key), *id)};
  }
  return std::optional(CreatedRun{TRY(must_find_run(*database_, run.tenant, *id)).run, true});
}

Result<> SqliteStore::insert_run(const model::Run& run, std::string_view request,
                                 std::string_view digest) {
  const std::string usage = TRY(to_stored(run.usage));
  const std::string own = TRY(to_stored(run.own));
  const std::string checkpoint = TRY(to_stored(run.checkpoint));
  const std::string& key = run.request.idempotency_key;
  sql::Param key_param = std::monostate{};
  if (!key.empty()) key_param = std::string_view(key);
  auto inserted = database_->execute(
      "INSERT INTO runs(tenant, id, agent, state, created_ms, started_ms, ended_ms, attempt, "
      "request, outcome, usage, log_cut, idempotency_key, request_digest, last_sequence, "
      "own_layers, checkpoint) "
      "VALUES(?1, ?2, ?3, ?4, ?5, 0, 0, 0, ?6, NULL, ?7, 0, ?8, ?9, 1, ?10, ?11)",
      {run.tenant, run.id, run.request.agent, model::to_string(run.state),
       TRY(as_integer(run.created_ms, "created_ms")), request, usage, key_param, digest, own,
       checkpoint});
  if (!inserted && inserted.error().code == Errc::conflict) {
    return Error{Errc::conflict, fmt::format("run {} is there already", run.id)};
  }
  if (!inserted) return std::move(inserted).error();
  return ok();
}

Result<> SqliteStore::insert_event(const model::Run& run, const model::RunEvent& event) {
  const std::string text = TRY(to_stored(event));
  TRY(database_->execute(
      "INSERT INTO run_events(tenant, run_id, sequence, at_ms, type, event) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
      {run.tenant, run.id, TRY(as_integer(event.sequence, "sequence")),
       TRY(as_integer(event.at_ms, "at_ms")), model::to_string(event.type), text}));
  return ok();
}

Result<> SqliteStore::update_run(const model::Run& run, std::uint64_t last_sequence) {
  const std::string usage = TRY(to_stored(run.usage));
  const std::string own = TRY(to_stored(run.own));
  const std::string checkpoint = TRY(to_stored(run.checkpoint));
  std::string outcome;
  sql::Param outcome_param = std::monostate{};
  if (run.outcome) {
    outcome = TRY(to_stored(*run.outcome));
    outcome_param = std::string_view(outcome);
  }
  const std::uint64_t changed = TRY(database_->execute(
      "UPDATE runs SET state = ?3, started_ms = ?4, ended_ms = ?5, attempt = ?6, outcome = ?7, "
      "usage = ?8, log_cut = ?9, last_sequence = ?10, own_layers = ?11, checkpoint = ?12 "
      "WHERE tenant = ?1 AND id = ?2",
      {run.tenant, run.id, model::to_string(run.state),
       TRY(as_integer(run.started_ms, "started_ms")), TRY(as_integer(run.ended_ms, "ended_ms")),
       std::int64_t{run.attempt}, outcome_param, usage, std::int64_t{run.log_cut ? 1 : 0},
       TRY(as_integer(last_sequence, "sequence")), own, checkpoint}));
  CHECK(changed == 1);  // read in the same transaction
  return ok();
}

// The last event goes, if this one takes its place.
Result<bool> SqliteStore::make_place(const model::Run& run, std::uint64_t last_sequence,
                                     model::RunEventType type) {
  if (!model::replaces_its_like(type)) return false;
  const std::uint64_t gone = TRY(database_->execute(
      "DELETE FROM run_events WHERE tenant = ?1 AND run_id = ?2 AND "
      "sequence = ?3 AND type = ?4",
      {run.tenant, run.id, TRY(as_integer(last_sequence, "sequence")), model::to_string(type)}));
  return gone == 1;
}

Result<AppendedEvent> SqliteStore::append_event(std::string_view tenant, std::string_view run_id,
                                                const model::RunEvent& event) {
  auto transaction = TRY(Transaction::begin(*database_));
  const RunRow before = TRY(must_find_run(*database_, tenant, run_id));
  AppendedEvent appended{.run = {}, .event = event};
  const bool replaces = TRY(make_place(before.run, before.last_sequence, event.type));
  appended.event.sequence = before.last_sequence + (replaces ? 0 : 1);
  appended.event.message = one_line(event.message);
  if (appended.event.outcome) {
    appended.event.outcome->message = one_line(appended.event.outcome->message);
  }
  if (appended.event.sequence > kMaxEventsPerRun && event.type != model::RunEventType::ended) {
    return Error{Errc::exhausted,
                 fmt::format("run {}: more than {} events", run_id, kMaxEventsPerRun)};
  }
  appended.run = TRY(model::advance(before.run, appended.event));
  TRY(update_run(appended.run, appended.event.sequence));
  TRY(insert_event(appended.run, appended.event));
  TRY(transaction.commit());
  return appended;
}

Result<model::Run> SqliteStore::get_run(std::string_view tenant, std::string_view run_id) {
  return std::move(TRY(must_find_run(*database_, tenant, run_id)).run);
}

Result<RunPage> SqliteStore::list_runs(std::string_view tenant, const RunFilter& filter) {
  const std::size_t limit = TRY(checked_limit(filter.limit));
  if (!filter.cursor.empty() && !is_run_id(filter.cursor)) {
    return Error{Errc::invalid, "cursor: not one that was given out"};
  }
  std::string statement = fmt::format("SELECT {} FROM runs WHERE tenant = ?1", kRunColumns);
  sql::Params params{tenant};
  const auto add = [&](std::string_view condition, std::string_view value) {
    params.emplace_back(value);
    statement += fmt::format(" AND {} ?{}", condition, params.size());
  };
  if (filter.sessions_only) statement += " AND json_extract(request, '$.session') = 1";
  if (!filter.agent.empty()) add("agent =", filter.agent);
  if (!filter.cursor.empty()) add("id <", filter.cursor);
  std::string
      states;  // literals, in the order of the enum: so that the index of unfinished runs fits
  for (const auto state : kAllStates) {
    if (std::find(filter.states.begin(), filter.states.end(), state) == filter.states.end())
      continue;
    states += fmt::format("{}'{}'", states.empty() ? "" : ", ", model::to_string(state));
  }
  if (!states.empty()) statement += fmt::format(" AND state IN ({})", states);
  params.emplace_back(static_cast<std::int64_t>(limit + 1));
  statement += fmt::format(" ORDER BY id DESC LIMIT ?{}", params.size());
  RunPage page;
  TRY(database_->query(statement, params, [&](const Row& row) -> Result<> {
    page.runs.push_back(TRY(read_run_row(row)).run);
    return ok();
  }));
  if (page.runs.size() > limit) {
    page.runs.pop_back();
    page.next_cursor = page.runs.back().id;
  }
  return page;
}

Result<std::vector<model::RunEvent>> SqliteStore::events(std::string_view tenant,
                                                         std::string_view run_id,
                                                         std::uint64_t after_sequence) {
  std::vector<model::RunEvent> found;
  const auto rows = database_->query(
      "SELECT sequence, type, event FROM run_events WHERE tenant = ?1 AND run_id = ?2 AND "
      "sequence > ?3 ORDER BY sequence",
      {tenant, run_id, TRY(as_integer(after_sequence, "after"))}, [&](const Row& row) -> Result<> {
        found.push_back(TRY(read_event_row(row)));
        return ok();
      });
  if (!rows) return Error(rows.error()).context(fmt::format("run {}", run_id));
  if (found.empty()) TRY(must_find_run(*database_, tenant, run_id));
  return found;
}

Result<UnfinishedRuns> SqliteStore::unfinished_runs() {
  UnfinishedRuns found;
  static const std::string statement = fmt::format(
      "SELECT {} FROM runs WHERE state IN ('queued', 'starting', 'running', 'hibernated') "
      "ORDER BY id, tenant",
      kRunColumns);
  TRY(database_->query(statement, {}, [&](const Row& row) -> Result<> {
    auto run = read_run_row(row);
    if (run) {
      found.runs.push_back(std::move(run->run));
    } else {
      found.damaged.push_back(std::move(run).error());
    }
    return ok();
  }));
  return found;
}

Result<> SqliteStore::delete_run(std::string_view tenant, std::string_view run_id) {
  auto transaction = TRY(Transaction::begin(*database_));
  const RunRow found = TRY(must_find_run(*database_, tenant, run_id));
  if (!model::is_terminal(found.run.state)) {
    return Error{Errc::conflict, fmt::format("run {} is {}: kill it first, or wait for its end",
                                             run_id, model::to_string(found.run.state))};
  }
  // Its events go with it (ON DELETE CASCADE).
  TRY(database_->execute("DELETE FROM runs WHERE tenant = ?1 AND id = ?2", {tenant, run_id}));
  TRY(database_->execute("DELETE FROM session_runners WHERE tenant = ?1 AND run_id = ?2",
                         {tenant, run_id}));
  TRY(database_->execute("DELETE FROM run_reports WHERE tenant = ?1 AND run_id = ?2",
                         {tenant, run_id}));
  return transaction.commit();
}

}  // namespace tare::runs
