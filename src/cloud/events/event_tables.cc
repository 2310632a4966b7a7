#include "cloud/events/event_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/utf8.h"

namespace selvedge {
namespace {

// Only ever appended to. `labels` is "|car|person|", so that one of them is found with LIKE.
constexpr std::string_view kSchema = R"(
CREATE TABLE event (
  cursor INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  received_ms INTEGER NOT NULL,
  site TEXT NOT NULL,
  device TEXT NOT NULL,
  application TEXT NOT NULL,
  rule TEXT NOT NULL,
  labels TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX event_device ON event (device, cursor);
CREATE INDEX event_site ON event (site, cursor);
CREATE INDEX event_received ON event (received_ms);
CREATE TABLE aggregate (
  cursor INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  received_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  site TEXT NOT NULL,
  device TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX aggregate_end ON aggregate (end_ms);
CREATE INDEX aggregate_received ON aggregate (received_ms);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
)";

constexpr int kExpireAtOnce = 2000;  // rows in one transaction
constexpr int kRoomAtOnce = 200;     // the same where it is for room: no more than is needed
constexpr int kRoomRounds = 100;
constexpr int kExpireRounds = 10;  // transactions in one Tidy
constexpr std::size_t kMaxName = 256;

// Text of others that becomes a column: within bounds and UTF-8, or left out.
std::string Column(std::string_view text) {
  return text.size() <= kMaxName && FindInvalidUtf8(text) == std::string_view::npos
             ? std::string(text)
             : std::string();
}

std::string LabelColumn(const v1::Event& event) {
  std::set<std::string> labels;
  for (const v1::DetectionRecord& detection : event.detections()) {
    if (const std::string label = Column(detection.label()); !label.empty()) labels.insert(label);
    if (labels.size() == 32) break;
  }
  std::string column = "|";
  for (const std::string& label : labels) column += label + "|";
  return column;
}

// For LIKE ... ESCAPE '\'.
std::string LikePattern(std::string_view label) {
  std::string pattern = "%|";
  for (const char c : label) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "|%";
}

}  // namespace

std::string_view ApplicationOf(std::string_view pipeline) {
  return pipeline.substr(0, pipeline.find('/'));
}

EventTables::EventTables(std::unique_ptr<Database> database, const EventTablesOptions& options,
                         const Clock& clock)
    : database_(std::move(database)), inbox_(database_.get()), options_(options), clock_(clock) {}

Result<std::unique_ptr<EventTables>> EventTables::Open(const std::string& path,
                                                       const EventTablesOptions& options,
                                                       const Clock& clock) {
  const std::array<std::string_view, 2> migrations = {kInboxSchema, kSchema};
  SELVEDGE_ASSIGN_OR_RETURN(
      auto database, Database::Open(path, migrations, {.cache_bytes = std::int64_t{4} << 20}));
  return std::unique_ptr<EventTables>(new EventTables(std::move(database), options, clock));
}

// ---- accepting ---------------------------------------------------------------------------------

Result<bool> EventTables::Insert(std::string_view site, const v1::Event& event,
                                 StoredEvent* stored) {
  const std::int64_t now_ms = clock_.Wall() / kMillisecond;
  const std::string application = Column(ApplicationOf(event.pipeline()));
  const std::string rule = Column(event.decision().rule());
  const std::string labels = LabelColumn(event);
  const std::string body = event.SerializeAsString();
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::int64_t inserted,
      database_->RunCounting(
          "INSERT OR IGNORE INTO event (id, received_ms, site, device, application, rule, labels, "
          "body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
          {event.id(), now_ms, site, event.device(), application, rule, labels, SqlBlob{body}}));
  if (inserted == 0) return false;
  SELVEDGE_ASSIGN_OR_RETURN(const auto cursor, database_->QueryInt("SELECT last_insert_rowid()"));
  *stored = {cursor.value_or(0), std::string(site), now_ms, event};
  return true;
}

Result<bool> EventTables::Insert(std::string_view site, const v1::Aggregate& aggregate) {
  const std::string body = aggregate.SerializeAsString();
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::int64_t inserted,
      database_->RunCounting(
          "INSERT OR IGNORE INTO aggregate (id, received_ms, end_ms, site, device, body) "
          "VALUES (?, ?, ?, ?, ?, ?)",
          {aggregate.id(), clock_.Wall() / kMillisecond, aggregate.end_unix_ns() / kMillisecond,
           site, aggregate.device(), SqlBlob{body}}));
  return inserted > 0;
}

Status EventTables::Count(std::string_view name, std::uint64_t by) {
  if (by == 0) return OkStatus();
  return database_->Run(
      "INSERT INTO counter (name, value) VALUES (?, ?) "
      "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
      {name, by});
}

Result<EventTables::Accepted> EventTables::Accept(
    std::string_view site, std::string_view sender, const v1::EventBatch& batch,
    const std::function<bool(std::string_view device)>& allowed) {
  Accepted accepted;
  std::uint64_t foreign = 0;
  const auto good = [&](const auto& record) {
    const bool ours = !record.id().empty() && record.id().size() <= 64 &&
                      FindInvalidUtf8(record.id()) == std::string_view::npos &&
                      allowed(record.device());
    foreign += ours ? 0 : 1;
    return ours;
  };
  const auto take = [&](v1::EventList* fresh) -> Status {
    for (const v1::Event& event : fresh->events()) {
      if (!good(event)) continue;
      StoredEvent stored;
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(const bool is_new, Insert(site, event, &stored));
      if (is_new) {
        accepted.fresh.push_back(std::move(stored));
      } else {
        ++accepted.doubled;
      }
    }
    for (const v1::Aggregate& aggregate : fresh->aggregates()) {
      if (!good(aggregate)) continue;
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(const bool is_new, Insert(site, aggregate));
      (is_new ? accepted.aggregates : accepted.doubled) += 1;
    }
    SELVEDGE_RETURN_IF_ERROR(Count("events", accepted.fresh.size()));
    SELVEDGE_RETURN_IF_ERROR(Count("aggregates", accepted.aggregates));
    return Count("doubled", accepted.doubled);
  };
  SELVEDGE_ASSIGN_OR_RETURN(const Inbox::Accepted result, inbox_.Accept(sender, batch, take));
  accepted.ack = result.ack;
  if (result.doubled > 0) {
    accepted.doubled += result.doubled;
    SELVEDGE_RETURN_ERR_IF_ERROR(Count("doubled", result.doubled));
  }
  foreign_ += foreign;
  return accepted;
}

Status EventTables::Forget(std::string_view sender) {
  return inbox_.Forget(sender);
}

// ---- queries -----------------------------------------------------------------------------------

Result<std::vector<StoredEvent>> EventTables::Query(const EventFilter& filter) {
  std::string sql = "SELECT cursor, site, received_ms, body FROM event WHERE TRUE";
  if (filter.after > 0) sql += filter.descending ? " AND cursor < ?1" : " AND cursor > ?1";
  if (!filter.device.empty()) sql += " AND device = ?2";
  if (!filter.site.empty()) sql += " AND site = ?3";
  if (!filter.application.empty()) sql += " AND application = ?4";
  if (!filter.rule.empty()) sql += " AND rule = ?5";
  if (!filter.label.empty()) sql += " AND labels LIKE ?6 ESCAPE '\\'";
  if (filter.since_ms > 0) sql += " AND received_ms >= ?7";
  if (filter.until_ms > 0) sql += " AND received_ms < ?8";
  sql += fmt::format(" ORDER BY cursor {} LIMIT ?9", filter.descending ? "DESC" : "ASC");
  const std::string label = LikePattern(filter.label);
  Rows rows =
      database_->Query(sql, {filter.after, filter.device, filter.site, filter.application,
                             filter.rule, label, filter.since_ms, filter.until_ms, filter.limit});
  std::vector<StoredEvent> events;
  while (rows.Next()) {
    StoredEvent& stored = events.emplace_back();
    stored.cursor = rows.Int(0);
    stored.site = rows.Text(1);
    stored.received_ms = rows.Int(2);
    const std::string_view body = rows.Blob(3);
    if (!stored.event.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
      return Err(DataLossError(fmt::format("event {} does not parse", stored.cursor)));
    }
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return events;
}

Result<std::vector<StoredAggregate>> EventTables::QueryAggregates(const AggregateFilter& filter) {
  std::string sql = "SELECT cursor, site, body FROM aggregate WHERE cursor > ?1";
  if (!filter.device.empty()) sql += " AND device = ?2";
  if (!filter.site.empty()) sql += " AND site = ?3";
  if (filter.since_ms > 0) sql += " AND end_ms >= ?4";
  if (filter.until_ms > 0) sql += " AND end_ms < ?5";
  sql += " ORDER BY cursor LIMIT ?6";
  Rows rows = database_->Query(sql, {filter.after, filter.device, filter.site, filter.since_ms,
                                     filter.until_ms, filter.limit});
  std::vector<StoredAggregate> aggregates;
  while (rows.Next()) {
    StoredAggregate& stored = aggregates.emplace_back();
    stored.cursor = rows.Int(0);
    stored.site = rows.Text(1);
    const std::string_view body = rows.Blob(2);
    if (!stored.aggregate.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
      return Err(DataLossError(fmt::format("aggregate {} does not parse", stored.cursor)));
    }
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return aggregates;
}

Result<EventCounters> EventTables::Counters() {
  EventCounters counters;
  Rows rows = database_->Query("SELECT name, value FROM counter");
  while (rows.Next()) {
    const auto value = static_cast<std::uint64_t>(rows.Int(1));
    const std::string_view name = rows.Text(0);
    if (name == "events") counters.events = value;
    if (name == "doubled") counters.doubled = value;
    if (name == "aggregates") counters.aggregates = value;
    if (name == "expired") counters.expired = value;
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return counters;
}

// ---- retention ---------------------------------------------------------------------------------

// The oldest `limit` rows that arrived before `before_ms`.
Result<std::int64_t> EventTables::Expire(std::string_view table, std::int64_t before_ms,
                                         int limit) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.status());
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::int64_t gone,
      database_->RunCounting(
          fmt::format("DELETE FROM {0} WHERE cursor IN (SELECT cursor FROM {0} WHERE received_ms < "
                      "? ORDER BY cursor LIMIT ?)",
                      table),
          {before_ms, limit}));
  if (table == "event") {
    SELVEDGE_RETURN_ERR_IF_ERROR(Count("expired", static_cast<std::uint64_t>(gone)));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.Commit());
  return gone;
}

// Bytes of pages in use: what deleting takes away at once, while the file shrinks a little later.
Result<std::int64_t> EventTables::UsedBytes() {
  SELVEDGE_ASSIGN_OR_RETURN(const auto pages, database_->QueryInt("PRAGMA page_count"));
  SELVEDGE_ASSIGN_OR_RETURN(const auto unused, database_->QueryInt("PRAGMA freelist_count"));
  SELVEDGE_ASSIGN_OR_RETURN(const auto size, database_->QueryInt("PRAGMA page_size"));
  return (pages.value_or(0) - unused.value_or(0)) * size.value_or(0);
}

// Some of the oldest, about as many as are too many; 0 where there is room. Events are most of it.
Result<std::int64_t> EventTables::ExpireForRoom() {
  SELVEDGE_ASSIGN_OR_RETURN(const std::int64_t used, UsedBytes());
  if (used <= options_.max_bytes) return 0;
  SELVEDGE_ASSIGN_OR_RETURN(const auto span,
                            database_->QueryInt("SELECT max(cursor) - min(cursor) + 1 FROM event"));
  const double share = static_cast<double>(used - options_.max_bytes) / static_cast<double>(used);
  const auto rows = static_cast<int>(
      std::clamp(share * static_cast<double>(span.value_or(0)), 50.0, 1.0 * kExpireAtOnce));
  SELVEDGE_ASSIGN_OR_RETURN(const std::int64_t events, Expire("event", INT64_MAX, rows));
  if (events > 0) return events;
  return Expire("aggregate", INT64_MAX, rows);
}

Status EventTables::Tidy() {
  const std::int64_t too_old = clock_.Wall() / kMillisecond - options_.keep_ms;
  std::int64_t gone = 0;
  for (const std::string_view table : {"event", "aggregate"}) {
    for (int round = 0; round < kExpireRounds; ++round) {
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::int64_t rows,
                                       Expire(table, too_old, kExpireAtOnce));
      gone += rows;
      if (rows < kExpireAtOnce) break;
    }
  }
  for (int round = 0; round < kExpireRounds; ++round) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::int64_t rows, ExpireForRoom());
    gone += rows;
    if (rows == 0) break;
  }
  return gone > 0 ? database_->GiveBackSpace() : OkStatus();
}

}  // namespace selvedge
