// Opening: folders and modes, the check, migrations, and what becomes of a damaged file.

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/database.h"
#include "store/database_core.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kKeptDamaged = 2;

// SQLite gives its log the mode of the file, so the file is made here.
Status MakeFile(const std::string& path) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path folder = fs::path(path).parent_path();
       !folder.empty() && !fs::exists(folder, error); folder = folder.parent_path()) {
    missing.push_back(folder);
  }
  for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder) {
    if (::mkdir(folder->c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoError(errno, "cannot make the folder " + folder->string());
    }
  }
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return ErrnoError(errno, "cannot open the database " + path);
  ::close(file);
  return OkStatus();
}

Result<std::unique_ptr<DatabaseCore>> Connect(const std::string& path,
                                              const DatabaseOptions& options) {
  SELVEDGE_RETURN_ERR_IF_ERROR(MakeFile(path));
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<sqlite3, CloseSqlite> connection(raw);
  if (code != SQLITE_OK) {
    return Err(UnavailableError("cannot open the database " + path + ": " +
                                (raw != nullptr ? sqlite3_errmsg(raw) : sqlite3_errstr(code))));
  }
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, static_cast<int>(options.busy_timeout.count()));
  // What a hostile file could make of the schema is not trusted.
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return std::make_unique<DatabaseCore>(path, std::move(connection), options);
}

Result<std::int64_t> Pragma(DatabaseCore* core, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(core->connection(), sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) return Err(core->Error(code));
  std::int64_t value = 0;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) value = sqlite3_column_int64(statement, 0);
  const Status status = code == SQLITE_DONE ? OkStatus() : core->Error(code);
  sqlite3_finalize(statement);
  if (!status.ok()) return Err(status);
  return value;
}

Status Configure(DatabaseCore* core) {
  const DatabaseOptions& options = core->options();
  // Before the first table: it cannot be changed later.
  std::string sql = "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;";
  sql += options.sync == DatabaseOptions::Sync::kFull ? "PRAGMA synchronous=FULL;"
                                                      : "PRAGMA synchronous=NORMAL;";
  sql += "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=4194304;";
  sql += "PRAGMA cache_size=-" +
         std::to_string(std::max<std::int64_t>(options.cache_bytes / 1024, 64)) + ";";
  SELVEDGE_RETURN_IF_ERROR(core->Execute(sql.c_str()));
  if (options.max_bytes <= 0) return OkStatus();
  const Result<std::int64_t> page = Pragma(core, "PRAGMA page_size");
  if (!page) return page.error();
  const std::int64_t pages =
      std::max<std::int64_t>(options.max_bytes / std::max<std::int64_t>(*page, 512), 8);
  return core->Execute(("PRAGMA max_page_count=" + std::to_string(pages)).c_str());
}

// DataLoss where the file is damaged.
Status Check(DatabaseCore* core) {
  struct stat info = {};
  (void)::stat(core->path().c_str(), &info);
  if (info.st_size > core->options().check_up_to_bytes) {
    const Result<std::int64_t> schema = Pragma(core, "SELECT count(*) FROM sqlite_schema");
    return schema ? OkStatus() : schema.error();
  }
  sqlite3_stmt* statement = nullptr;
  int code =
      sqlite3_prepare_v2(core->connection(), "PRAGMA quick_check(1)", -1, &statement, nullptr);
  if (code != SQLITE_OK) return core->Error(code);
  std::string said;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    said = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
  }
  const Status status = code == SQLITE_DONE ? OkStatus() : core->Error(code);
  sqlite3_finalize(statement);
  SELVEDGE_RETURN_IF_ERROR(status);
  if (said == "ok") return OkStatus();
  std::ranges::replace(said, '\n', ' ');
  return DataLossError("the database " + core->path() + " is damaged (" + said +
                       "); restore it from a backup, or move it away to begin anew");
}

Status Migrate(DatabaseCore* core, std::span<const std::string_view> migrations) {
  const auto newest = static_cast<std::int64_t>(migrations.size());
  for (;;) {
    SELVEDGE_RETURN_IF_ERROR(core->Execute("BEGIN IMMEDIATE"));
    const Result<std::int64_t> version = Pragma(core, "PRAGMA user_version");
    Status status = version ? OkStatus() : version.error();
    const bool done = status.ok() && *version >= newest;
    if (status.ok() && !done) {
      const auto index = static_cast<std::size_t>(*version);
      const std::string sql =
          std::string(migrations[index]) + "\n;PRAGMA user_version=" + std::to_string(*version + 1);
      status =
          core->Execute(sql.c_str()).WithContext("schema version " + std::to_string(*version + 1));
      if (status.ok()) status = core->Execute("COMMIT");
    }
    if (sqlite3_get_autocommit(core->connection()) == 0) (void)core->Execute("ROLLBACK");
    SELVEDGE_RETURN_IF_ERROR(status);
    if (!done) continue;
    if (*version > newest) {
      return FailedPreconditionError(
          "the database " + core->path() + " was written by a newer version of Selvedge (schema " +
          std::to_string(*version) + ", this one knows " + std::to_string(newest) +
          "); update this program, or restore the backup made before the update");
    }
    return OkStatus();
  }
}

// The newest few damaged files are kept, so that damage that comes again does not fill the disk.
void RemoveOldDamaged(const fs::path& path) {
  std::error_code error;
  const std::string prefix = path.filename().string() + ".damaged-";
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(path.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && !name.ends_with("-wal")) found.push_back(entry.path());
  }
  std::ranges::sort(found, std::greater());
  for (std::size_t i = kKeptDamaged; i < found.size(); ++i) {
    fs::remove(found[i], error);
    fs::remove(found[i].string() + "-wal", error);
  }
}

Result<std::string> PutAside(const std::string& path) {
  const std::string stem =
      path + ".damaged-" + std::to_string(Clock::System().Wall() / kMillisecond);
  std::string aside = stem;
  std::error_code error;
  for (int i = 1; fs::exists(aside, error); ++i) aside = stem + "-" + std::to_string(i);
  if (::rename(path.c_str(), aside.c_str()) != 0) {
    return Err(ErrnoError(errno, "cannot put the damaged database " + path + " aside"));
  }
  // Its log may be needed to repair it; the shared memory is made anew by whoever opens it.
  (void)::rename((path + "-wal").c_str(), (aside + "-wal").c_str());
  (void)::unlink((path + "-shm").c_str());
  RemoveOldDamaged(fs::absolute(path, error));
  return aside;
}

Result<std::unique_ptr<DatabaseCore>> OpenChecked(const std::string& path,
                                                  const DatabaseOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(std::unique_ptr<DatabaseCore> core, Connect(path, options));
  SELVEDGE_RETURN_ERR_IF_ERROR(Configure(core.get()));
  SELVEDGE_RETURN_ERR_IF_ERROR(Check(core.get()));
  return core;
}

}  // namespace

Result<std::unique_ptr<Database>> Database::Open(const std::string& path,
                                                 std::span<const std::string_view> migrations,
                                                 const DatabaseOptions& options) {
  auto core = OpenChecked(path, options);
  if (!core && core.error().code() == StatusCode::kDataLoss &&
      options.on_damage == DatabaseOptions::OnDamage::kKeepAside) {
    SELVEDGE_ASSIGN_OR_RETURN(const std::string aside, PutAside(path));
    core = OpenChecked(path, options);
    if (core) (*core)->kept_aside = aside;
  }
  if (!core) return Err(std::move(core).error());
  SELVEDGE_RETURN_ERR_IF_ERROR(Migrate(core->get(), migrations));
  (*core)->MakeReserve();
  return std::unique_ptr<Database>(new Database(*std::move(core)));
}

}  // namespace selvedge
