#pragma once

// The inside of Database: the connection, its lock and its prepared statements. For database*.cc.

#include <sqlite3.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/status.h"
#include "store/database.h"

namespace selvedge {

struct CloseSqlite {
  void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
};

class DatabaseCore {
 public:
  DatabaseCore(std::string path, std::unique_ptr<sqlite3, CloseSqlite> connection,
               const DatabaseOptions& options)
      : path_(std::move(path)), options_(options), connection_(std::move(connection)) {}
  ~DatabaseCore();

  // What the last failed call of this connection said, as a Status.
  Status Error(int code);

  // All of the following with the lock held.
  // A prepared statement that nobody uses; to be given back by Release.
  Result<sqlite3_stmt*> Prepare(std::string_view sql, bool* cached);
  static void Release(sqlite3_stmt* statement, bool cached);
  Status Bind(sqlite3_stmt* statement, SqlArgs args);
  // Several statements without parameters.
  Status Execute(const char* sql);
  // Before anything that may write: refuses to go on in a transaction that SQLite rolled back, and
  // makes room in a log that could not grow.
  Status Ready(Transaction::Purpose purpose = Transaction::Purpose::kAny);
  // Makes the reserve where it is not there and the disk has room.
  void MakeReserve();

  std::recursive_mutex mutex;
  int depth = 0;  // of nested transactions

  sqlite3* connection() const { return connection_.get(); }
  const std::string& path() const { return path_; }
  const DatabaseOptions& options() const { return options_; }
  std::string kept_aside;

 private:
  std::string ReservePath() const;

  struct Entry {
    std::string sql;
    sqlite3_stmt* statement;
  };

  std::string path_;
  DatabaseOptions options_;
  std::unique_ptr<sqlite3, CloseSqlite> connection_;
  std::list<Entry> statements_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_sql_;
  bool was_full_ = false;
  bool has_reserve_ = false;
};

}  // namespace selvedge
