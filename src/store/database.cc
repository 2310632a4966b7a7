#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "store/database_core.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxStatements = 64;
constexpr std::int64_t kSparePages = 128;  // 512 KiB

bool IsFull(int code, int system_error) {
  if ((code & 0xff) == SQLITE_FULL) return true;
  return (code & 0xff) == SQLITE_IOERR && (system_error == ENOSPC || system_error == EDQUOT);
}

}  // namespace

DatabaseCore::~DatabaseCore() {
  for (const Entry& entry : statements_) sqlite3_finalize(entry.statement);
}

Status DatabaseCore::Error(int code) {
  const int extended = sqlite3_extended_errcode(connection());
  const std::string what =
      "the database " + path_ + ": " + std::string(sqlite3_errmsg(connection()));
  if (IsFull(code, sqlite3_system_errno(connection()))) {
    was_full_ = true;
    return ResourceExhaustedError(options_.max_bytes > 0
                                      ? what + ": the disk, or the limit of " +
                                            std::to_string(options_.max_bytes) + " bytes"
                                      : what + ": nothing was written; make room on the disk");
  }
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return UnavailableError(what + ": another process holds it");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLossError(what + "; restore it from a backup, or move it away to begin anew");
    case SQLITE_CONSTRAINT:
      return extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY
                 ? AlreadyExistsError(what)
                 : FailedPreconditionError(what);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return PermissionDeniedError(what + "; its file and folder must be writable by this user");
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return UnavailableError(what + " (" + std::strerror(sqlite3_system_errno(connection())) +
                              ")");
    case SQLITE_NOMEM: return ResourceExhaustedError(what);
    default: return InternalError(what);
  }
}

Result<sqlite3_stmt*> DatabaseCore::Prepare(std::string_view sql, bool* cached) {
  if (const auto found = by_sql_.find(sql);
      found != by_sql_.end() && sqlite3_stmt_busy(found->second->statement) == 0) {
    statements_.splice(statements_.begin(), statements_, found->second);
    *cached = true;
    return found->second->statement;
  }
  const bool keep = !by_sql_.contains(sql);
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection(), sql.data(), static_cast<int>(sql.size()),
                                      keep ? SQLITE_PREPARE_PERSISTENT : 0U, &statement, nullptr);
  if (code != SQLITE_OK) return Err(Error(code));
  *cached = keep;
  if (!keep) return statement;
  statements_.push_front({std::string(sql), statement});
  by_sql_.emplace(statements_.front().sql, statements_.begin());
  // One that is in use is left for the next time.
  if (statements_.size() > kMaxStatements && sqlite3_stmt_busy(statements_.back().statement) == 0) {
    by_sql_.erase(statements_.back().sql);
    sqlite3_finalize(statements_.back().statement);
    statements_.pop_back();
  }
  return statement;
}

void DatabaseCore::Release(sqlite3_stmt* statement, bool cached) {
  if (cached) {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  } else {
    sqlite3_finalize(statement);
  }
}

Status DatabaseCore::Bind(sqlite3_stmt* statement, SqlArgs args) {
  if (static_cast<int>(args.size()) != sqlite3_bind_parameter_count(statement)) {
    return InternalError("the database " + path_ + ": " + std::to_string(args.size()) +
                         " values for: " + sqlite3_sql(statement));
  }
  int index = 0;
  for (const SqlArg& arg : args) {
    ++index;
    const int code = std::visit(
        [&](const auto& value) {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, std::nullptr_t>) {
            return sqlite3_bind_null(statement, index);
          } else if constexpr (std::is_same_v<T, std::int64_t>) {
            return sqlite3_bind_int64(statement, index, value);
          } else if constexpr (std::is_same_v<T, double>) {
            return sqlite3_bind_double(statement, index, value);
          } else if constexpr (std::is_same_v<T, SqlBlob>) {
            // A null pointer would bind NULL, also with length 0.
            const char* data = value.bytes.data() == nullptr ? "" : value.bytes.data();
            return sqlite3_bind_blob64(statement, index, data, value.bytes.size(), SQLITE_STATIC);
          } else {
            const char* data = value.data() == nullptr ? "" : value.data();
            return sqlite3_bind_text64(statement, index, data, value.size(), SQLITE_STATIC,
                                       SQLITE_UTF8);
          }
        },
        arg.value());
    if (code != SQLITE_OK) return Error(code);
  }
  return OkStatus();
}

Status DatabaseCore::Execute(const char* sql) {
  const int code = sqlite3_exec(connection(), sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? OkStatus() : Error(code);
}

Status DatabaseCore::Ready(Transaction::Purpose purpose) {
  const bool autocommit = sqlite3_get_autocommit(connection()) != 0;
  if (depth > 0 && autocommit) {
    // After a full disk, say. Going on would write outside of any transaction.
    return Status(StatusCode::kAborted, "the database " + path_ + ": its transaction was undone");
  }
  if (was_full_ && autocommit) {
    if (purpose == Transaction::Purpose::kFreeing && has_reserve_) {
      has_reserve_ = false;
      (void)::unlink(ReservePath().c_str());
    }
    // What is in the log goes into the file; then the log is written from its beginning again.
    was_full_ = sqlite3_wal_checkpoint_v2(connection(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr,
                                          nullptr) != SQLITE_OK;
  }
  return OkStatus();
}

void DatabaseCore::MakeReserve() {
  if (has_reserve_ || options_.reserve_bytes <= 0) return;
  const int file = ::open(ReservePath().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  has_reserve_ = ::posix_fallocate(file, 0, options_.reserve_bytes) == 0;
  ::close(file);
  if (!has_reserve_) (void)::unlink(ReservePath().c_str());
}

std::string DatabaseCore::ReservePath() const {
  return path_ + ".reserve";
}

Rows::Rows(DatabaseCore* core) : core_(core) {
  core_->mutex.lock();
}

Rows::Rows(Rows&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)),
      statement_(std::exchange(other.statement_, nullptr)),
      cached_(other.cached_),
      status_(std::move(other.status_)) {}

Rows::~Rows() {
  if (core_ == nullptr) return;
  if (statement_ != nullptr) DatabaseCore::Release(statement_, cached_);
  core_->mutex.unlock();
}

bool Rows::Next() {
  if (statement_ == nullptr) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) status_ = core_->Error(code);
  // Done with, so that a second Next does not begin anew.
  DatabaseCore::Release(std::exchange(statement_, nullptr), cached_);
  return false;
}

std::int64_t Rows::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Rows::Real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string_view Rows::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Rows::Blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Rows::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Database::Database(std::unique_ptr<DatabaseCore> core) : core_(std::move(core)) {}
Database::~Database() = default;

Rows Database::Query(std::string_view sql, SqlArgs args) {
  Rows rows(core_.get());
  rows.status_ = core_->Ready();
  if (!rows.status_.ok()) return rows;
  Result<sqlite3_stmt*> statement = core_->Prepare(sql, &rows.cached_);
  if (!statement) {
    rows.status_ = std::move(statement).error();
    return rows;
  }
  rows.statement_ = *statement;
  rows.status_ = core_->Bind(*statement, args);
  if (!rows.status_.ok()) {
    DatabaseCore::Release(std::exchange(rows.statement_, nullptr), rows.cached_);
  }
  return rows;
}

Status Database::Run(std::string_view sql, SqlArgs args) {
  Rows rows = Query(sql, args);
  while (rows.Next()) {
  }
  return rows.status();
}

Result<std::int64_t> Database::RunCounting(std::string_view sql, SqlArgs args) {
  const std::lock_guard lock(core_->mutex);
  SELVEDGE_RETURN_ERR_IF_ERROR(Run(sql, args));
  return sqlite3_changes64(core_->connection());
}

Result<std::optional<std::int64_t>> Database::QueryInt(std::string_view sql, SqlArgs args) {
  Rows rows = Query(sql, args);
  const bool found = rows.Next();
  if (!rows.status().ok()) return Err(rows.status());
  if (!found || rows.IsNull(0)) return std::nullopt;
  return rows.Int(0);
}

Result<std::optional<std::string>> Database::QueryText(std::string_view sql, SqlArgs args) {
  Rows rows = Query(sql, args);
  const bool found = rows.Next();
  if (!rows.status().ok()) return Err(rows.status());
  if (!found || rows.IsNull(0)) return std::nullopt;
  return std::string(rows.Text(0));
}

Status Database::GiveBackSpace(std::int64_t max_bytes) {
  const std::lock_guard lock(core_->mutex);
  if (core_->depth > 0) return OkStatus();
  const Result<std::optional<std::int64_t>> unused = QueryInt("PRAGMA freelist_count");
  const Result<std::optional<std::int64_t>> page = QueryInt("PRAGMA page_size");
  if (!unused) return unused.error();
  if (!page) return page.error();
  // Some are left: the next records need them, and a file that shrinks and grows all the time wears
  // the disk.
  const std::int64_t pages =
      std::min(unused->value_or(0) - kSparePages, max_bytes / page->value_or(4096));
  if (pages < kSparePages) {
    core_->MakeReserve();
    return OkStatus();
  }
  const std::string sql = "PRAGMA incremental_vacuum(" + std::to_string(pages) + ")";
  SELVEDGE_RETURN_IF_ERROR(core_->Execute(sql.c_str()));
  // The file shrinks when the log is merged into it; a reader in another process may delay that.
  (void)sqlite3_wal_checkpoint_v2(core_->connection(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                                  nullptr);
  core_->MakeReserve();
  return OkStatus();
}

std::int64_t Database::FileBytes() const {
  std::int64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    struct stat info = {};
    if (::stat((core_->path() + suffix).c_str(), &info) == 0) bytes += info.st_size;
  }
  return bytes;
}

const std::string& Database::path() const {
  return core_->path();
}

const std::string& Database::kept_aside() const {
  return core_->kept_aside;
}

Transaction::Transaction(Database* database, Purpose purpose) : core_(database->core_.get()) {
  core_->mutex.lock();
  status_ = core_->Ready(purpose);
  if (!status_.ok()) return;
  status_ = core_->Execute(core_->depth == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT nested");
  if (!status_.ok()) return;
  open_ = true;
  ++core_->depth;
}

Transaction::~Transaction() {
  if (open_) {
    --core_->depth;
    // SQLite may have rolled back by itself; then there is nothing to undo.
    if (sqlite3_get_autocommit(core_->connection()) == 0) {
      (void)core_->Execute(core_->depth == 0 ? "ROLLBACK" : "ROLLBACK TO nested; RELEASE nested");
    }
  }
  core_->mutex.unlock();
}

Status Transaction::Commit() {
  if (!open_) return status_;
  SELVEDGE_RETURN_IF_ERROR(core_->Ready());
  SELVEDGE_RETURN_IF_ERROR(core_->Execute(core_->depth == 1 ? "COMMIT" : "RELEASE nested"));
  open_ = false;
  --core_->depth;
  return OkStatus();
}

}  // namespace selvedge
