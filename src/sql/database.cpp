#include "sql/database.h"

#include <limits>

#include <fmt/core.h>

namespace tare::sql {

Result<std::int64_t> as_integer(std::uint64_t value, std::string_view name) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Error{Errc::invalid, fmt::format("{}: {} is more than 2^63-1", name, value)};
  }
  return static_cast<std::int64_t>(value);
}

Result<std::uint64_t> Row::unsigned_integer(int column) const {
  const std::int64_t value = TRY(integer(column));
  if (value < 0) {
    return Error{Errc::internal, fmt::format("column {}: {} is negative", column, value)};
  }
  return static_cast<std::uint64_t>(value);
}

Result<std::uint32_t> Row::unsigned_32(int column) const {
  const std::uint64_t value = TRY(unsigned_integer(column));
  if (value > std::numeric_limits<std::uint32_t>::max()) {
    return Error{Errc::internal, fmt::format("column {}: {} is too large", column, value)};
  }
  return static_cast<std::uint32_t>(value);
}

Result<bool> Row::boolean(int column) const {
  const std::int64_t value = TRY(integer(column));
  if (value != 0 && value != 1) {
    return Error{Errc::internal, fmt::format("column {}: {} is neither 0 nor 1", column, value)};
  }
  return value == 1;
}

Result<std::string> Row::string(int column) const { return std::string(TRY(text(column))); }

Result<> Database::refuse_when_lost() const {
  if (depth_ > 0 && transaction_lost()) {
    return Error{Errc::internal, "the transaction was rolled back by an earlier error"};
  }
  return ok();
}

Result<Transaction> Transaction::begin(Database& database) {
  const int depth = database.depth_ + 1;
  if (depth == 1) {
    database.doomed_ = false;
    TRY(database.begin_outermost());
  } else {
    TRY(database.run_script(fmt::format("SAVEPOINT tare_{}", depth)));
  }
  database.depth_ = depth;
  return Transaction(&database, depth);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)), depth_(other.depth_) {}

Transaction::~Transaction() {
  if (database_ != nullptr) rollback();
}

Result<> Transaction::commit() {
  CHECK(database_ != nullptr);
  CHECK(database_->depth_ == depth_);  // inner transactions end before outer ones
  TRY(database_->refuse_when_lost());
  if (depth_ > 1) {
    TRY(database_->run_script(fmt::format("RELEASE SAVEPOINT tare_{}", depth_)));
  } else {
    if (database_->doomed_) {
      return Error{Errc::internal, "commit: a part of this transaction could not be undone"};
    }
    TRY(database_->commit_outermost());
  }
  database_->depth_ = depth_ - 1;
  database_ = nullptr;
  return ok();
}

void Transaction::rollback() {
  CHECK(database_->depth_ == depth_);
  if (!database_->transaction_lost()) {
    if (depth_ > 1) {
      // ROLLBACK TO leaves the savepoint itself on the stack; RELEASE takes it away.
      const auto undone = database_->run_script(
          fmt::format("ROLLBACK TO SAVEPOINT tare_{0}; RELEASE SAVEPOINT tare_{0}", depth_));
      if (!undone) database_->doomed_ = true;
    } else {
      // Nothing to do on failure: a transaction that is not committed is gone with its connection
      // anyway.
      static_cast<void>(database_->rollback_outermost());
    }
  }
  database_->depth_ = depth_ - 1;
  database_ = nullptr;
}

}  // namespace tare::sql
