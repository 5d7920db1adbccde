// Agents and environments of SqliteStore.
#include <fmt/core.h>

#include "base/ids.h"
#include "base/text.h"
#include "runs/rows.h"
#include "runs/store_sqlite.h"

namespace tare::runs {

namespace {

using sql::as_integer;
using sql::Row;
using sql::Transaction;

constexpr std::string_view kEnvironments =
    "SELECT e.tenant, name, environment, f.layers FROM environments e "
    "LEFT JOIN flat_layers f ON f.tenant = e.tenant AND f.digest = e.digest WHERE e.tenant = ?1";

// Equal but for what the store itself gives.
bool same_agent(const model::Agent& a, model::Agent b) {
  b.version = a.version;
  b.created_ms = a.created_ms;
  return a == b;
}

}  // namespace

Result<StoredAgent> SqliteStore::put_agent(const model::Agent& agent) {
  TRY(check_name("tenant", agent.tenant));
  TRY(check_name("name", agent.name));
  auto transaction = TRY(Transaction::begin(*database_));
  auto newest = get_agent(agent.tenant, agent.name, std::nullopt);
  if (!newest && newest.error().code != Errc::not_found) return std::move(newest).error();
  if (newest && same_agent(*newest, agent)) return StoredAgent{std::move(*newest), true};
  StoredAgent stored{agent, false};
  stored.agent.version = newest ? newest->version + 1 : 1;
  const std::string text = TRY(to_stored(stored.agent));
  TRY(database_->execute(
      "INSERT INTO agents(tenant, name, version, created_ms, agent) VALUES(?1, ?2, ?3, ?4, ?5)",
      {agent.tenant, agent.name, std::int64_t{stored.agent.version},
       TRY(as_integer(agent.created_ms, "created_ms")), text}));
  TRY(transaction.commit());
  return stored;
}

Result<model::Agent> SqliteStore::get_agent(std::string_view tenant, std::string_view name,
                                            std::optional<std::uint32_t> version) {
  std::optional<model::Agent> found;
  const auto take = [&](const Row& row) -> Result<> {
    found = TRY(read_agent_row(row));
    return ok();
  };
  if (version) {
    TRY(
        database_->query("SELECT tenant, name, version, agent FROM agents "
                         "WHERE tenant = ?1 AND name = ?2 AND version = ?3",
                         {tenant, name, std::int64_t{*version}}, take));
  } else {
    TRY(
        database_->query("SELECT tenant, name, version, agent FROM agents "
                         "WHERE tenant = ?1 AND name = ?2 ORDER BY version DESC LIMIT 1",
                         {tenant, name}, take));
  }
  if (found) return std::move(*found);
  const std::string which = version ? fmt::format(" version {}", *version) : std::string();
  return Error{Errc::not_found,
               fmt::format("there is no agent {}{}: `tare agent list` shows those there are",
                           quote(name), which)};
}

Result<AgentPage> SqliteStore::list_agents(std::string_view tenant, std::string_view cursor,
                                           std::size_t limit) {
  if (limit < 1 || limit > kMaxListedRuns) {
    return Error{Errc::invalid,
                 fmt::format("limit: {} is not from 1 to {}", limit, kMaxListedRuns)};
  }
  if (!cursor.empty()) TRY(check_name("cursor", cursor));
  AgentPage page;
  TRY(database_->query(
      "SELECT tenant, name, version, agent FROM agents AS a WHERE tenant = ?1 AND name > ?2 AND "
      "version = (SELECT max(version) FROM agents WHERE tenant = a.tenant AND name = a.name) "
      "ORDER BY name LIMIT ?3",
      {tenant, cursor, static_cast<std::int64_t>(limit + 1)}, [&](const Row& row) -> Result<> {
        page.agents.push_back(TRY(read_agent_row(row)));
        return ok();
      }));
  if (page.agents.size() > limit) {
    page.agents.pop_back();
    page.next_cursor = page.agents.back().name;
  }
  return page;
}

Result<> SqliteStore::each_agent_version(std::string_view tenant,
                                         const std::function<Result<>(const model::Agent&)>& take) {
  TRY(database_->query(
      "SELECT tenant, name, version, agent FROM agents WHERE tenant = ?1 ORDER BY name, version",
      {tenant}, [&](const Row& row) -> Result<> { return take(TRY(read_agent_row(row))); }));
  return ok();
}

Result<> SqliteStore::put_environment(const model::Environment& environment) {
  TRY(check_name("tenant", environment.tenant));
  if (environment.name.empty()) return Error{Errc::invalid, "environment: name is empty"};
  const std::string text = TRY(to_stored(model::without_flat(environment)));
  TRY(database_->execute(
      "INSERT INTO environments(tenant, name, source, digest, created_ms, environment) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant, name) DO UPDATE SET "
      "source = excluded.source, digest = excluded.digest, created_ms = excluded.created_ms, "
      "environment = excluded.environment",
      {environment.tenant, environment.name, environment.source, environment.digest,
       TRY(as_integer(environment.created_ms, "created_ms")), text}));
  return ok();
}

Result<model::Environment> SqliteStore::get_environment(std::string_view tenant,
                                                        std::string_view reference) {
  static const std::string ways[] = {
      fmt::format("{} AND name = ?2", kEnvironments),
      fmt::format("{} AND source = ?2 ORDER BY created_ms DESC, name LIMIT 1", kEnvironments),
      fmt::format("{} AND e.digest = ?2 AND e.digest <> '' ORDER BY created_ms DESC, name LIMIT 1",
                  kEnvironments)};
  std::optional<model::Environment> found;
  for (const std::string& statement : ways) {
    TRY(database_->query(statement, {tenant, reference}, [&](const Row& row) -> Result<> {
      found = TRY(read_environment_row(row));
      return ok();
    }));
    if (found) return std::move(*found);
  }
  return Error{Errc::not_found,
               fmt::format("there is no environment {}: `tare env list` shows those there are",
                           quote(reference))};
}

Result<std::vector<model::Environment>> SqliteStore::list_environments(std::string_view tenant) {
  std::vector<model::Environment> found;
  static const std::string all = fmt::format("{} ORDER BY name", kEnvironments);
  TRY(database_->query(all, {tenant}, [&](const Row& row) -> Result<> {
    found.push_back(TRY(read_environment_row(row)));
    return ok();
  }));
  return found;
}

Result<> SqliteStore::delete_environment(std::string_view tenant, std::string_view name) {
  auto transaction = TRY(Transaction::begin(*database_));
  bool there = false;
  TRY(database_->query("SELECT 1 FROM environments WHERE tenant = ?1 AND name = ?2", {tenant, name},
                       [&](const Row&) -> Result<> {
                         there = true;
                         return ok();
                       }));
  if (!there) {
    return Error{
        Errc::not_found,
        fmt::format("there is no environment named {}: `tare env list` shows those there are",
                    quote(name))};
  }
  TRY(database_->execute("DELETE FROM environments WHERE tenant = ?1 AND name = ?2",
                         {tenant, name}));
  return transaction.commit();
}

Result<> SqliteStore::put_flat_layers(std::string_view tenant, std::string_view digest,
                                      const model::FlatLayers& flat) {
  TRY(check_name("tenant", tenant));
  if (digest.empty()) return Error{Errc::invalid, "flat_layers: of no digest"};
  const std::string text = TRY(to_stored(flat));
  TRY(
      database_->execute("INSERT INTO flat_layers(tenant, digest, layers) VALUES(?1, ?2, ?3) "
                         "ON CONFLICT (tenant, digest) DO UPDATE SET layers = excluded.layers",
                         {tenant, digest, text}));
  return ok();
}

Result<FlatByDigest> SqliteStore::flat_layers(std::string_view tenant) {
  FlatByDigest found;
  TRY(database_->query("SELECT digest, layers FROM flat_layers WHERE tenant = ?1", {tenant},
                       [&](const Row& row) -> Result<> {
                         found.insert(TRY(read_flat_row(row)));
                         return ok();
                       }));
  return found;
}

Result<> SqliteStore::delete_flat_layers(std::string_view tenant, std::string_view digest) {
  TRY(database_->execute("DELETE FROM flat_layers WHERE tenant = ?1 AND digest = ?2",
                         {tenant, digest}));
  return ok();
}

}  // namespace tare::runs
