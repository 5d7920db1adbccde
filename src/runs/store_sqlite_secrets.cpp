// The vault's rows of SqliteStore.
#include <fmt/core.h>

#include "base/text.h"
#include "runs/rows.h"
#include "runs/store_sqlite.h"

namespace tare::runs {

namespace {

using sql::as_integer;
using sql::Row;
using sql::Transaction;

Error no_secret(std::string_view name) {
  return Error{Errc::not_found,
               fmt::format("there is no secret {}; `tare secret set` makes one", quote(name))};
}

Result<std::uint64_t> count_secrets(sql::Database& database, std::string_view tenant) {
  std::uint64_t count = 0;
  TRY(database.query("SELECT count(*) FROM secrets WHERE tenant = ?1", {tenant},
                     [&](const Row& row) -> Result<> {
                       count = TRY(row.unsigned_integer(0));
                       return ok();
                     }));
  return count;
}

}  // namespace

Result<> SqliteStore::add_secret(const model::SealedSecret& secret) {
  const std::string sealed = TRY(to_stored(secret));
  if (secret.version != 1) return Error{Errc::invalid, "a new secret has the version 1"};
  auto transaction = TRY(Transaction::begin(*database_));
  const std::uint64_t added = TRY(database_->execute(
      "INSERT INTO secrets(tenant, name, version, created_ms, rotated_ms, sealed) "
      "VALUES(?1, ?2, 1, ?3, ?4, ?5) ON CONFLICT (tenant, name) DO NOTHING",
      {secret.tenant, secret.name, TRY(as_integer(secret.created_ms, "created_ms")),
       TRY(as_integer(secret.rotated_ms, "rotated_ms")), sealed}));
  if (added == 0) {
    return Error{
        Errc::conflict,
        fmt::format("the secret {} is there already: `tare secret rotate` gives it another "
                    "value",
                    quote(secret.name)),
        0, "name"};
  }
  if (TRY(count_secrets(*database_, secret.tenant)) > model::kMaxSecrets) {
    return Error{Errc::exhausted,
                 fmt::format("there are {} secrets, as many as may be: `tare secret rm` one first",
                             model::kMaxSecrets)};
  }
  return transaction.commit();
}

Result<> SqliteStore::rotate_secret(const model::SealedSecret& secret) {
  const std::string sealed = TRY(to_stored(secret));
  auto transaction = TRY(Transaction::begin(*database_));
  std::optional<std::uint64_t> before;
  TRY(database_->query("SELECT version FROM secrets WHERE tenant = ?1 AND name = ?2",
                       {secret.tenant, secret.name}, [&](const Row& row) -> Result<> {
                         before = TRY(row.unsigned_integer(0));
                         return ok();
                       }));
  if (!before) return no_secret(secret.name);
  if (*before + 1 != secret.version) {
    return Error{Errc::conflict, fmt::format("the secret {} has the version {} by now",
                                             quote(secret.name), *before)};
  }
  TRY(database_->execute(
      "UPDATE secrets SET version = ?3, rotated_ms = ?4, sealed = ?5 WHERE tenant = ?1 AND name = "
      "?2",
      {secret.tenant, secret.name, TRY(as_integer(secret.version, "version")),
       TRY(as_integer(secret.rotated_ms, "rotated_ms")), sealed}));
  return transaction.commit();
}

Result<> SqliteStore::delete_secret(std::string_view tenant, std::string_view name) {
  const std::uint64_t removed = TRY(
      database_->execute("DELETE FROM secrets WHERE tenant = ?1 AND name = ?2", {tenant, name}));
  if (removed == 0) return no_secret(name);
  return ok();
}

Result<SecretRows> SqliteStore::list_secrets(std::string_view tenant) {
  SecretRows found;
  TRY(
      database_->query("SELECT tenant, name, version, created_ms, rotated_ms, sealed FROM secrets "
                       "WHERE tenant = ?1 ORDER BY name",
                       {tenant}, [&](const Row& row) -> Result<> {
                         auto secret = read_secret_row(row);
                         if (secret) {
                           found.secrets.push_back(std::move(*secret));
                         } else {
                           found.damaged.push_back({TRY(row.string(1)), std::move(secret).error()});
                         }
                         return ok();
                       }));
  return found;
}

}  // namespace tare::runs
