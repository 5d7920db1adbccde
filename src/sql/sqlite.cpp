#include "sql/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::sql {

namespace {

constexpr std::size_t kStatementTextInErrors = 160;  // characters
constexpr int kMaxValueBytes = 64 << 20;  // one text value; far above what a store writes
constexpr int kWalLimitBytes = 64 << 20;  // what the WAL file shrinks to after a checkpoint
// What it grows to between checkpoints: 1,000 pages of 4 KiB, each with a header of 24 bytes.
constexpr std::uint64_t kUsualLogBytes = std::uint64_t{4608} << 10;

Errc kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY
                 ? Errc::conflict
                 : Errc::internal;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG: return Errc::exhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Errc::unavailable;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN: return Errc::denied;
    case SQLITE_INTERRUPT: return Errc::cancelled;
    default: return Errc::internal;
  }
}

const char* type_name(int type) {
  switch (type) {
    case SQLITE_INTEGER: return "an integer";
    case SQLITE_FLOAT: return "a real number";
    case SQLITE_TEXT: return "text";
    case SQLITE_BLOB: return "bytes";
    default: return "null";
  }
}

class SqliteRow final : public Row {
 public:
  explicit SqliteRow(sqlite3_stmt* statement) : statement_(statement) {}

  bool is_null(int column) const override {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
  }
  Result<std::int64_t> integer(int column) const override {
    TRY(expect(column, SQLITE_INTEGER));
    return sqlite3_column_int64(statement_, column);
  }
  Result<std::string_view> text(int column) const override {
    TRY(expect(column, SQLITE_TEXT));
    const auto* data = sqlite3_column_text(statement_, column);
    if (data == nullptr) return Error{Errc::exhausted, "out of memory while reading a row"};
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return std::string_view(reinterpret_cast<const char*>(data), size);
  }

 private:
  Result<> expect(int column, int wanted) const {
    CHECK(column >= 0 && column < sqlite3_column_count(statement_));
    const int found = sqlite3_column_type(statement_, column);
    if (found == wanted) return ok();
    return Error{Errc::internal, fmt::format("column {} ({}): expected {}, found {}", column,
                                             sqlite3_column_name(statement_, column),
                                             type_name(wanted), type_name(found))};
  }
  sqlite3_stmt* statement_;
};

int bind(sqlite3_stmt* statement, int index, const Param& param) {
  if (const auto* number = std::get_if<std::int64_t>(&param)) {
    return sqlite3_bind_int64(statement, index, *number);
  }
  if (const auto* text = std::get_if<std::string_view>(&param)) {
    // A null pointer would bind NULL; an empty text is not NULL.
    const char* data = text->data() != nullptr ? text->data() : "";
    return sqlite3_bind_text64(statement, index, data, text->size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  return sqlite3_bind_null(statement, index);
}

// SQLite makes files with 0644 minus umask; WAL and shared memory files get the mode of the
// database. So the file is made first, private. Answers whether a WAL was left behind: the last
// program did not close it.
Result<bool> prepare_file(const std::string& path) {
  const auto file = TRY(
      sys::open_at(sys::kCwd, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600).context("database"));
  const struct stat status = TRY(sys::stat_fd(file.get()).context("database " + path));
  if (!S_ISREG(status.st_mode)) {
    return Error{Errc::invalid, "database " + path + ": not a regular file"};
  }
  if ((status.st_mode & 0077) != 0) {
    TRY(sys::chmod_fd(file.get(), 0600).context("database " + path));
  }
  struct stat wal{};
  return ::stat((path + "-wal").c_str(), &wal) == 0 && wal.st_size > 0;
}

// A commit into a log that need not grow is twice as quick: fdatasync(2) has no size to write. So
// it gets its usual size at once, in zeros, which are no frames (sqlite.org/walformat.html: a frame
// counts when its salts are those of the header and its checksum holds). From then on SQLite
// overwrites it from the beginning after each checkpoint.
Result<> extend_log(const std::string& path) {
  const auto file = TRY(sys::open_at(sys::kCwd, path, O_WRONLY | O_NOFOLLOW));
  auto size = static_cast<std::uint64_t>(TRY(sys::stat_fd(file.get())).st_size);
  const std::vector<std::byte> zeros(std::size_t{256} << 10);
  while (size < kUsualLogBytes) {
    const std::size_t piece = std::min<std::uint64_t>(zeros.size(), kUsualLogBytes - size);
    TRY(sys::write_at(file.get(), std::span(zeros).first(piece), size));
    size += piece;
  }
  return sys::sync_fd(file.get());
}

}  // namespace

// Takes the statement for one use. A cached one is reset and handed back; one made because the
// cached one was busy (a query inside the visitor of the same query) is finalized.
class Sqlite::Lease {
 public:
  Lease(sqlite3_stmt* statement, Cached* entry) : statement_(statement), entry_(entry) {}
  Lease(Lease&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), entry_(other.entry_) {}
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (statement_ == nullptr) return;
    if (entry_ == nullptr) {
      sqlite3_finalize(statement_);
      return;
    }
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
    entry_->in_use = false;
  }
  sqlite3_stmt* get() const { return statement_; }

 private:
  sqlite3_stmt* statement_;
  Cached* entry_;
};

Error Sqlite::failure(int code, std::string_view statement) const {
  std::string text(statement.substr(0, kStatementTextInErrors));
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  if (statement.size() > kStatementTextInErrors) text += "...";
  return Error{kind_of(code),
               fmt::format("sqlite: {} (code {}) in: {}", sqlite3_errmsg(handle_), code, text)};
}

Result<std::unique_ptr<Sqlite>> Sqlite::open_handle(const std::string& path, int extra_flags) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags | extra_flags, nullptr);
  if (handle == nullptr) return Error{Errc::exhausted, "sqlite: out of memory"};
  std::unique_ptr<Sqlite> database(new Sqlite(handle));
  if (code != SQLITE_OK) return database->failure(code, "open " + path);
  return database;
}

Result<std::unique_ptr<Sqlite>> Sqlite::open(const std::string& path,
                                             const SqliteOptions& options) {
  const bool crashed = TRY(prepare_file(path));
  auto database = TRY(open_handle(path, SQLITE_OPEN_NOFOLLOW));
  TRY(database->configure(options).context("database " + path));
  TRY(database->expect_pragma("PRAGMA journal_mode=WAL", "wal").context("database " + path));
  const bool check = options.quick_check == QuickCheck::always ||
                     (options.quick_check == QuickCheck::after_crash && crashed);
  if (check) TRY(database->quick_check().context("database " + path));
  TRY(database->query("SELECT count(*) FROM sqlite_schema", {}, [](const Row&) { return ok(); }));
  (void)extend_log(path + "-wal");  // without room for it: slower, not wrong
  return database;
}

Result<std::unique_ptr<Sqlite>> Sqlite::open_in_memory() {
  auto database = TRY(open_handle(":memory:", SQLITE_OPEN_MEMORY));
  TRY(database->configure(SqliteOptions{}));
  return database;
}

Sqlite::~Sqlite() {
  for (const Cached& entry : cache_) sqlite3_finalize(entry.statement);
  sqlite3_close_v2(handle_);
}

Result<> Sqlite::configure(const SqliteOptions& options) {
  sqlite3_busy_timeout(handle_, options.busy_timeout_ms);
  sqlite3_limit(handle_, SQLITE_LIMIT_LENGTH, kMaxValueBytes);
  sqlite3_limit(handle_, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  TRY(
      run_script(fmt::format("PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON; "
                             "PRAGMA journal_size_limit={}",
                             kWalLimitBytes)));
  return expect_pragma("PRAGMA foreign_keys=ON; PRAGMA foreign_keys", "1");
}

// Some pragmas do nothing, silently, when they cannot; so the answer is compared.
Result<> Sqlite::expect_pragma(std::string_view pragma, std::string_view wanted) {
  const std::size_t last = pragma.rfind(';');
  if (last != std::string_view::npos) {
    TRY(run_script(pragma.substr(0, last)));
    pragma.remove_prefix(last + 1);
  }
  sqlite3_stmt* statement = TRY(prepare(pragma, false));
  const Lease owner(statement, nullptr);
  const int code = sqlite3_step(statement);
  if (code != SQLITE_ROW) return failure(code, pragma);
  const auto* answer = sqlite3_column_text(statement, 0);
  if (answer == nullptr || wanted != reinterpret_cast<const char*>(answer)) {
    return Error{Errc::unavailable, fmt::format("{}: expected the answer {}", pragma, wanted)};
  }
  return ok();
}

Result<> Sqlite::quick_check() {
  std::string complaint;
  TRY(query("PRAGMA quick_check(1)", {}, [&](const Row& row) -> Result<> {
    complaint = TRY(row.string(0));
    return ok();
  }));
  if (complaint == "ok") return ok();
  return Error{Errc::internal, "the file is damaged, restore it from a backup: " + complaint};
}

Result<sqlite3_stmt*> Sqlite::prepare(std::string_view text, bool keep) {
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  const unsigned flags = keep ? SQLITE_PREPARE_PERSISTENT : 0;
  const int code = sqlite3_prepare_v3(handle_, text.data(), static_cast<int>(text.size()), flags,
                                      &statement, &rest);
  if (code != SQLITE_OK) return failure(code, text);
  CHECK(statement != nullptr);  // an empty statement is our own mistake
  const std::string_view tail(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  CHECK(tail.find_first_not_of(" \n\t;") == std::string_view::npos);  // one statement a call
  return statement;
}

void Sqlite::evict_one() {
  for (auto entry = cache_.rbegin(); entry != cache_.rend(); ++entry) {
    if (entry->in_use) continue;
    sqlite3_finalize(entry->statement);
    by_text_.erase(entry->text);
    cache_.erase(std::next(entry).base());
    return;
  }
}

Result<Sqlite::Lease> Sqlite::lease(std::string_view text, const Params& params) {
  TRY(refuse_when_lost());
  const auto found = by_text_.find(text);
  Cached* entry = nullptr;
  sqlite3_stmt* statement = nullptr;
  if (found != by_text_.end() && found->second->in_use) {
    statement = TRY(prepare(text, false));
  } else if (found != by_text_.end()) {
    cache_.splice(cache_.begin(), cache_, found->second);
    entry = &cache_.front();
    statement = entry->statement;
  } else {
    if (cache_.size() >= kMaxCachedStatements) evict_one();
    statement = TRY(prepare(text, true));
    cache_.push_front(Cached{std::string(text), statement, false});
    by_text_.emplace(cache_.front().text, cache_.begin());
    entry = &cache_.front();
  }
  if (entry != nullptr) entry->in_use = true;
  Lease owner(statement, entry);
  CHECK(static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) == params.size());
  for (std::size_t i = 0; i < params.size(); ++i) {
    const int code = bind(statement, static_cast<int>(i) + 1, params[i]);
    if (code != SQLITE_OK) return failure(code, text);
  }
  return owner;
}

Result<std::uint64_t> Sqlite::execute(std::string_view text, const Params& params) {
  const Lease owner = TRY(lease(text, params));
  const std::int64_t before = sqlite3_total_changes64(handle_);
  const int code = sqlite3_step(owner.get());
  CHECK(code != SQLITE_ROW);  // a statement with rows belongs into query()
  if (code != SQLITE_DONE) return failure(code, text);
  const std::int64_t changed = sqlite3_total_changes64(handle_) - before;
  return changed > 0 ? static_cast<std::uint64_t>(sqlite3_changes64(handle_)) : std::uint64_t{0};
}

Result<std::size_t> Sqlite::query(std::string_view text, const Params& params,
                                  const RowVisitor& visit) {
  const Lease owner = TRY(lease(text, params));
  std::size_t rows = 0;
  while (true) {
    const int code = sqlite3_step(owner.get());
    if (code == SQLITE_DONE) return rows;
    if (code != SQLITE_ROW) return failure(code, text);
    ++rows;
    TRY(visit(SqliteRow(owner.get())));
  }
}

Result<> Sqlite::run_script(std::string_view script) {
  TRY(refuse_when_lost());
  const std::string text(script);  // sqlite3_exec wants a terminated string
  const int code = sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code, script);
  return ok();
}

Result<std::vector<std::string>> Sqlite::table_names() {
  std::vector<std::string> names;
  TRY(
      query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\' ORDER BY name",
            {}, [&](const Row& row) -> Result<> {
              names.push_back(TRY(row.string(0)));
              return ok();
            }));
  return names;
}

// IMMEDIATE: the write lock is taken here, where waiting for it is safe, and not in the middle.
Result<> Sqlite::begin_outermost() {
  TRY(execute("BEGIN IMMEDIATE"));
  return ok();
}

Result<> Sqlite::commit_outermost() {
  TRY(execute("COMMIT"));
  return ok();
}

Result<> Sqlite::rollback_outermost() {
  TRY(execute("ROLLBACK"));
  return ok();
}

bool Sqlite::transaction_lost() const {
  return in_transaction() && sqlite3_get_autocommit(handle_) != 0;
}

}  // namespace tare::sql
