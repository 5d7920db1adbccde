// The schema's history: numbered steps, forward only, each applied once and remembered with its
// checksum in the table schema_migrations. All missing steps are applied in one transaction: all or
// none.
//
// Owner: a store, when it opens its database. Threads: that of the database. Times: ms since the
// epoch. Errors: Errc::conflict when the database is newer than the program, when a step that was
// applied reads differently today, or when the file has tables and no history (not ours). The
// message says what to do. What never happens: a step runs twice; a database that this program does
// not understand is touched.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "sql/database.h"

namespace tare::sql {

struct Migration {
  int version;            // 1, 2, 3, ... without a gap
  std::string_view name;  // "0001_runs"
  std::string_view script;
};

// Answers how many steps were applied.
Result<int> migrate(Database& database, std::span<const Migration> migrations,
                    std::uint64_t now_ms);

}  // namespace tare::sql
