// SQLite behind Database: WAL, synchronous=FULL (a commit that was acknowledged survives a power
// cut), foreign keys on, statements prepared once and kept. The file is made with mode 0600 and
// never through a symlink.
//
// Owner: the program that opened it. Threads: one at a time. Blocks: a commit waits for the disk,
// so a program with an event loop gives it a thread of its own (group_commit.h). Source:
// sqlite.org/c3ref, /pragma.html. What never happens: the schema of a foreign or damaged file is
// trusted (defensive mode, trusted_schema off).
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "sql/database.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tare::sql {

// When to run `PRAGMA quick_check` while opening (milliseconds per 10 MB).
enum class QuickCheck : std::uint8_t { never, after_crash, always };

struct SqliteOptions {
  QuickCheck quick_check = QuickCheck::after_crash;
  int busy_timeout_ms = 5'000;  // for a lock held by another process, e.g. a person's sqlite3 shell
};

class Sqlite final : public Database {
 public:
  // Opens the file, makes it when it is not there; its folder must exist.
  static Result<std::unique_ptr<Sqlite>> open(const std::string& path,
                                              const SqliteOptions& options);
  // In memory, for tests: nothing is durable.
  static Result<std::unique_ptr<Sqlite>> open_in_memory();
  ~Sqlite() override;

  using Database::execute;
  Result<std::uint64_t> execute(std::string_view statement, const Params& params) override;
  Result<std::size_t> query(std::string_view statement, const Params& params,
                            const RowVisitor& visit) override;
  Result<> run_script(std::string_view script) override;
  Result<std::vector<std::string>> table_names() override;

  // Prepared statements are kept up to this many; the one unused for longest goes first.
  static constexpr std::size_t kMaxCachedStatements = 128;

 protected:
  Result<> begin_outermost() override;
  Result<> commit_outermost() override;
  Result<> rollback_outermost() override;
  bool transaction_lost() const override;

 private:
  class Lease;  // a prepared statement in use: reset and given back at the end
  struct Cached {
    std::string text;
    sqlite3_stmt* statement = nullptr;
    bool in_use = false;
  };

  explicit Sqlite(sqlite3* handle) : handle_(handle) {}
  static Result<std::unique_ptr<Sqlite>> open_handle(const std::string& path, int extra_flags);
  Result<> configure(const SqliteOptions& options);
  Result<> expect_pragma(std::string_view pragma, std::string_view wanted);
  Result<> quick_check();
  Result<sqlite3_stmt*> prepare(std::string_view statement, bool keep);
  Result<Lease> lease(std::string_view statement, const Params& params);
  void evict_one();
  Error failure(int code, std::string_view statement) const;

  sqlite3* handle_;
  std::list<Cached> cache_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Cached>::iterator> by_text_;
};

}  // namespace tare::sql
