// A database as the stores see it: statements with typed parameters, rows, transactions. Small
// enough that SQLite and PostgreSQL both fit behind it; what a statement means is the store's
// business.
//
// Owner: whoever opened it. Threads: one at a time, never two at once (a Database has no lock of
// its own; group_commit.h gives it a thread). Parameters are written ?1, ?2, ... in every backend.
// Errors: Errc::conflict for a unique key that exists already, exhausted for a full disk,
// unavailable for a lock that another process holds, internal for damage; the message names the
// statement. What never happens: a transaction that was not committed leaves a trace; a statement
// runs outside a transaction because the one it belonged to was rolled back behind our back (see
// transaction_lost()).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace tare::sql {

// One parameter: NULL, an integer, or text. Text is borrowed and must outlive the call.
using Param = std::variant<std::monostate, std::int64_t, std::string_view>;
using Params = std::vector<Param>;

// An unsigned number as a parameter; refused above 2^63-1, which no column can hold. `name` is for
// the error.
Result<std::int64_t> as_integer(std::uint64_t value, std::string_view name);

// One row of a result, valid only inside the visitor. Columns count from 0. A column of another
// type than the one asked for is an error: rows are read as carefully as any other input.
class Row {
 public:
  virtual ~Row() = default;
  virtual bool is_null(int column) const = 0;
  virtual Result<std::int64_t> integer(int column) const = 0;
  virtual Result<std::string_view> text(int column) const = 0;

  Result<std::uint64_t> unsigned_integer(int column) const;
  Result<std::uint32_t> unsigned_32(int column) const;
  Result<bool> boolean(int column) const;  // 0 or 1, nothing else
  Result<std::string> string(int column) const;
};

// Called for each row; an error ends the query and is returned from it.
using RowVisitor = std::function<Result<>(const Row&)>;

class Database {
 public:
  Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  virtual ~Database() = default;

  // One statement without rows. Answers how many rows it changed.
  virtual Result<std::uint64_t> execute(std::string_view statement, const Params& params) = 0;
  // One statement with rows, each given to `visit`. Answers how many rows there were.
  virtual Result<std::size_t> query(std::string_view statement, const Params& params,
                                    const RowVisitor& visit) = 0;
  // Several statements without parameters (migrations).
  virtual Result<> run_script(std::string_view script) = 0;
  // Names of the tables in this database, the backend's own left out.
  virtual Result<std::vector<std::string>> table_names() = 0;

  Result<std::uint64_t> execute(std::string_view statement) { return execute(statement, {}); }
  bool in_transaction() const { return depth_ > 0; }

 protected:
  virtual Result<> begin_outermost() = 0;
  virtual Result<> commit_outermost() = 0;
  virtual Result<> rollback_outermost() = 0;
  // Did the backend roll back the open transaction by itself (disk full, I/O error)?
  virtual bool transaction_lost() const = 0;
  // The error for a statement that belongs to a transaction that is no more.
  Result<> refuse_when_lost() const;

 private:
  friend class Transaction;
  int depth_ = 0;
  bool doomed_ = false;  // an inner transaction could not be undone alone
};

// All or nothing: rolled back by the destructor unless committed. Inside another transaction it is
// a savepoint: undone alone, made durable only by the outermost commit.
class [[nodiscard]] Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Durable when this returns without error, if this is the outermost.
  Result<> commit();

 private:
  Transaction(Database* database, int depth) : database_(database), depth_(depth) {}
  void rollback();

  Database* database_;  // nullptr: finished or moved away
  int depth_;           // 1 = outermost
};

}  // namespace tare::sql
