#pragma once

// Database: one SQLite file, in write-ahead mode, with numbered migrations.
//
// Owned by the part whose state it is; one Database per file and process. Internally locked: any
// thread may use it, one at a time. A Rows and a Transaction hold the lock as long as they live, so
// they are short-lived, belong to one thread, and nobody waits for a network while having one.
// Other processes may read the file meanwhile.
//
// Durability: what was committed survives a kill of the process at any instant; with kFull also a
// power cut. A commit is all or nothing. Failure: ResourceExhausted where the disk (or `max_bytes`)
// is full: nothing of the transaction is written, what was there stays, and the same call works
// again once there is room. Unavailable where another process holds the file for longer than
// `busy_timeout`. DataLoss where the file is damaged. AlreadyExists where a key would be doubled.

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/status.h"

struct sqlite3_stmt;

namespace selvedge {

// Bytes, where a plain string would be text. Does not own them.
struct SqlBlob {
  std::string_view bytes;
};

// What is bound to a parameter. Text and bytes are not copied: they live until the call returns,
// for a Query as long as its Rows.
class SqlArg {
 public:
  using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string_view, SqlBlob>;

  // NOLINTBEGIN(google-explicit-constructor): a value is given as what it is.
  SqlArg(std::nullptr_t) : value_(nullptr) {}
  template <typename T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  SqlArg(T number) : value_(static_cast<std::int64_t>(number)) {}
  SqlArg(double number) : value_(number) {}
  SqlArg(std::string_view text) : value_(text) {}
  SqlArg(const std::string& text) : value_(std::string_view(text)) {}
  SqlArg(const char* text) : value_(std::string_view(text)) {}
  SqlArg(SqlBlob blob) : value_(blob) {}
  // NOLINTEND(google-explicit-constructor)

  const Value& value() const { return value_; }

 private:
  Value value_;
};
using SqlArgs = std::initializer_list<SqlArg>;

// What a query found, row by row. Columns count from 0. Texts and blobs live until the next Next().
//
//   Rows rows = db.Query("SELECT name, at FROM device WHERE site = ?", {site});
//   while (rows.Next()) Use(rows.Text(0), rows.Int(1));
//   return rows.status();
class Rows {
 public:
  Rows(Rows&&) noexcept;
  Rows& operator=(Rows&&) = delete;
  ~Rows();

  // False after the last row, and where an error came, which status() tells.
  bool Next();
  const Status& status() const { return status_; }

  std::int64_t Int(int column) const;
  double Real(int column) const;
  std::string_view Text(int column) const;
  std::string_view Blob(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  explicit Rows(class DatabaseCore* core);

  class DatabaseCore* core_;  // locked
  sqlite3_stmt* statement_ = nullptr;
  bool cached_ = false;
  Status status_;
};

struct DatabaseOptions {
  enum class Sync {
    kFull,    // a commit survives a power cut
    kNormal,  // the last commits before a power cut may be gone; the file stays whole
  };
  enum class OnDamage {
    kRefuse,    // DataLoss; the file stays where it is
    kKeepAside  // it is renamed to NAME.damaged-TIME (the last two are kept) and an empty one begun
  };
  Sync sync = Sync::kFull;
  OnDamage on_damage = OnDamage::kRefuse;
  std::chrono::milliseconds busy_timeout{5'000};
  std::int64_t cache_bytes = std::int64_t{512} * 1024;  // of pages in memory
  std::int64_t max_bytes = 0;                           // of the file; 0: what the disk has
  // Kept on the disk as NAME.reserve, so that deleting works when the disk is full; 0: none.
  std::int64_t reserve_bytes = std::int64_t{1} << 20;
  // Every page is checked at open up to this size, above it the schema's only: a check reads all.
  std::int64_t check_up_to_bytes = std::int64_t{256} << 20;
};

class Database {
 public:
  // Makes the folder (mode 0700) and the file (0600) where they are not there, checks the file, and
  // brings it to the newest schema: migrations[i] takes it from version i to i + 1, each in a
  // transaction of its own; SQL, several statements. A file with more versions than there are
  // migrations is FailedPrecondition: a newer program wrote it. Migrations are only ever appended.
  static Result<std::unique_ptr<Database>> Open(const std::string& path,
                                                std::span<const std::string_view> migrations,
                                                const DatabaseOptions& options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // One statement that gives no rows. Prepared statements are kept (64, least recently used go).
  Status Run(std::string_view sql, SqlArgs args = {});
  // The same, and how many rows it changed.
  Result<std::int64_t> RunCounting(std::string_view sql, SqlArgs args = {});
  // An error shows in the status of the Rows.
  Rows Query(std::string_view sql, SqlArgs args = {});
  // The first column of the first row; nothing where there is no row or it is NULL.
  Result<std::optional<std::int64_t>> QueryInt(std::string_view sql, SqlArgs args = {});
  Result<std::optional<std::string>> QueryText(std::string_view sql, SqlArgs args = {});

  // Gives unused pages back to the disk, at most about `max_bytes` at once; cheap where there are
  // none. Call it after deleting, outside a transaction. Makes a reserve anew that was used.
  Status GiveBackSpace(std::int64_t max_bytes = std::int64_t{16} << 20);
  // On disk at this moment, the write-ahead log included.
  std::int64_t FileBytes() const;

  const std::string& path() const;
  // Where a damaged file was put by kKeepAside at this open; empty otherwise.
  const std::string& kept_aside() const;

 private:
  friend class Transaction;
  explicit Database(std::unique_ptr<class DatabaseCore> core);
  std::unique_ptr<class DatabaseCore> core_;
};

// All or nothing. Rolled back where Commit was not called. Inside another one it is a part of it (a
// savepoint): rolled back alone, committed with the outer one.
//
//   Transaction transaction(&db);
//   SELVEDGE_RETURN_IF_ERROR(transaction.status());
//   ...
//   return transaction.Commit();
class Transaction {
 public:
  enum class Purpose {
    kAny,
    kFreeing  // deletes: may use the reserve where the disk is full
  };
  explicit Transaction(Database* database, Purpose purpose = Purpose::kAny);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Whether it could begin.
  const Status& status() const { return status_; }
  Status Commit();

 private:
  class DatabaseCore* core_;  // locked
  bool open_ = false;
  Status status_;
};

}  // namespace selvedge
