#include "cloud/fleet/fleet_tables.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "orchestrate/iofog.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

// Only ever appended to.
constexpr std::array<std::string_view, 1> kMigrations = {R"(
CREATE TABLE node (
  name TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  role INTEGER NOT NULL,
  key_sha256 TEXT NOT NULL,
  certificate_sha256 TEXT NOT NULL,
  certificate TEXT NOT NULL,
  offered TEXT NOT NULL DEFAULT '',
  joined_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL DEFAULT 0,
  birth BLOB,
  state BLOB,
  desired BLOB
) WITHOUT ROWID;
CREATE TABLE shut_out (
  certificate_sha256 TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE application (
  name TEXT PRIMARY KEY,
  manifest TEXT NOT NULL,
  images TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  applied_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB);
CREATE TABLE token (
  id TEXT PRIMARY KEY,
  is_join INTEGER NOT NULL,
  role TEXT NOT NULL,
  site TEXT NOT NULL,
  name TEXT NOT NULL,
  via TEXT NOT NULL,
  secret_sha256 TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  spent_by TEXT NOT NULL DEFAULT '',
  spent_key TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
)"};

// So many certificates of deleted nodes are remembered.
constexpr std::int64_t kMaxShutOut = 100'000;
// A token that was spent or ran out is listed for so long, then forgotten.
constexpr std::int64_t kKeepOldTokensMs = std::int64_t{30} * 86'400 * 1000;

template <typename Message>
Status ParseBlob(const Rows& rows, int column, std::string_view what, Message* message) {
  const std::string_view bytes = rows.Blob(column);
  if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return OkStatus();
  return DataLossError(fmt::format("the {} of node {} does not parse", what, rows.Text(0)));
}

std::string OfferToJson(const NodeRecord& record) {
  if (record.role != v1::GATEWAY) return {};
  return Json({{"mqtt", record.offered_mqtt}, {"registry", record.offered_registry}}).dump();
}

void ReadOffer(std::string_view text, std::vector<std::string>* mqtt, std::string* registry) {
  const Json offer = Json::parse(text, nullptr, false);
  if (!offer.is_object()) return;
  *registry = offer.value("registry", "");
  for (const Json& uri : offer.value("mqtt", Json::array())) {
    if (uri.is_string()) mqtt->push_back(uri.get<std::string>());
  }
}

std::string ImagesToJson(const ApplicationRecord& record) {
  Json images = Json::object();
  for (const auto& [text, image] : record.images) {
    images[text] = {{"digest", image.digest}, {"version", image.version}};
  }
  return images.dump();
}

Result<ApplicationRecord> ReadApplication(const Rows& rows) {
  const std::string name(rows.Text(0));
  ApplicationRecord record{
      .manifest = std::string(rows.Text(1)), .created_ms = rows.Int(3), .applied_ms = rows.Int(4)};
  auto documents = ParseDeployment(record.manifest, name);
  const Json images = Json::parse(rows.Text(2), nullptr, false);
  if (!documents || documents->size() != 1 || !images.is_object()) {
    return Err(DataLossError(
        fmt::format("application {} cannot be read back: {}", name,
                    documents ? "its images are damaged" : documents.error().message())));
  }
  record.application = std::move(documents->front().application);
  for (const auto& [text, image] : images.items()) {
    record.images[text] = {image.value("digest", ""), image.value("version", "")};
  }
  return record;
}

TokenRecord ReadToken(const Rows& rows) {
  return {.id = std::string(rows.Text(0)),
          .join = rows.Int(1) != 0,
          .role = std::string(rows.Text(2)),
          .site = std::string(rows.Text(3)),
          .name = std::string(rows.Text(4)),
          .via = std::string(rows.Text(5)),
          .secret_sha256 = std::string(rows.Text(6)),
          .created_ms = rows.Int(7),
          .expires_ms = rows.Int(8),
          .spent_by = std::string(rows.Text(9)),
          .spent_key = std::string(rows.Text(10))};
}

constexpr std::string_view kTokenColumns =
    "id, is_join, role, site, name, via, secret_sha256, created_ms, expires_ms, spent_by, "
    "spent_key";

}  // namespace

Result<std::unique_ptr<FleetTables>> FleetTables::Open(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(auto database, Database::Open(path, kMigrations));
  return std::unique_ptr<FleetTables>(new FleetTables(std::move(database)));
}

Status FleetTables::Probe() {
  SELVEDGE_RETURN_IF_ERROR(
      database_->Run("INSERT OR REPLACE INTO probe (id, filler) VALUES (1, zeroblob(65536))"));
  return database_->Run("DELETE FROM probe");
}

Status FleetTables::CheckRoom(std::string_view table, std::string_view key, std::string_view value,
                              std::int64_t limit) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      const auto there,
      database_->QueryInt(fmt::format("SELECT 1 FROM {} WHERE {} = ?", table, key), {value}));
  if (there) return OkStatus();
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      const auto count, database_->QueryInt(fmt::format("SELECT count(*) FROM {}", table)));
  if (count.value_or(0) < limit) return OkStatus();
  return ResourceExhaustedError(
      fmt::format("there are {} {}s already, the most that are kept; delete some", limit, table));
}

// ---- nodes -------------------------------------------------------------------------------------

Result<std::vector<NodeRecord>> FleetTables::LoadNodes() {
  std::vector<NodeRecord> records;
  Rows rows = database_->Query(
      "SELECT name, site, role, key_sha256, certificate_sha256, joined_ms, last_seen_ms, birth, "
      "state, desired, offered FROM node");
  while (rows.Next()) {
    NodeRecord& record = records.emplace_back();
    record.name = rows.Text(0);
    record.site = rows.Text(1);
    record.role = rows.Int(2) == v1::GATEWAY ? v1::GATEWAY : v1::DEVICE;
    record.key_sha256 = rows.Text(3);
    record.certificate_sha256 = rows.Text(4);
    record.joined_ms = rows.Int(5);
    record.last_seen_ms = rows.Int(6);
    SELVEDGE_RETURN_ERR_IF_ERROR(ParseBlob(rows, 7, "birth", &record.birth));
    SELVEDGE_RETURN_ERR_IF_ERROR(ParseBlob(rows, 8, "state", &record.state));
    SELVEDGE_RETURN_ERR_IF_ERROR(ParseBlob(rows, 9, "desired document", &record.desired));
    ReadOffer(rows.Text(10), &record.offered_mqtt, &record.offered_registry);
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return records;
}

Result<std::optional<FleetTables::JoinedNode>> FleetTables::FindNode(std::string_view name) {
  Rows rows = database_->Query(
      "SELECT site, role, key_sha256, certificate FROM node WHERE name = ?", {name});
  std::optional<JoinedNode> found;
  if (rows.Next()) {
    found = JoinedNode{.site = std::string(rows.Text(0)),
                       .role = rows.Int(1) == v1::GATEWAY ? v1::GATEWAY : v1::DEVICE,
                       .key_sha256 = std::string(rows.Text(2)),
                       .certificate_pem = std::string(rows.Text(3))};
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return found;
}

Result<std::optional<FleetTables::Gateway>> FleetTables::GatewayOf(std::string_view site) {
  Rows rows = database_->Query("SELECT name, offered FROM node WHERE site = ? AND role = ?",
                               {site, v1::GATEWAY});
  std::optional<Gateway> found;
  if (rows.Next()) {
    found = Gateway{.name = std::string(rows.Text(0))};
    ReadOffer(rows.Text(1), &found->mqtt, &found->registry);
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return found;
}

Status FleetTables::SaveJoin(const NodeRecord& record, const std::string& certificate_pem,
                             std::string_view token_id) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  SELVEDGE_RETURN_IF_ERROR(CheckRoom("node", "name", record.name, kMaxNodes));
  const std::string offered = OfferToJson(record);
  SELVEDGE_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO node (name, site, role, key_sha256, certificate_sha256, certificate, joined_ms, "
      "offered) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
      "site = excluded.site, offered = excluded.offered, "
      "role = excluded.role, key_sha256 = excluded.key_sha256, "
      "certificate_sha256 = excluded.certificate_sha256, certificate = excluded.certificate, "
      "joined_ms = excluded.joined_ms",
      {record.name, record.site, record.role, record.key_sha256, record.certificate_sha256,
       certificate_pem, record.joined_ms, offered}));
  SELVEDGE_RETURN_IF_ERROR(
      database_->Run("UPDATE token SET spent_by = ?, spent_key = ? WHERE id = ?",
                     {record.name, record.key_sha256, token_id}));
  return transaction.Commit();
}

Status FleetTables::RemoveNode(std::string_view name, std::int64_t now_ms) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  SELVEDGE_RETURN_IF_ERROR(database_->Run(
      "INSERT OR REPLACE INTO shut_out SELECT certificate_sha256, name, ? FROM node WHERE name = ?",
      {now_ms, name}));
  SELVEDGE_RETURN_IF_ERROR(database_->Run(
      "DELETE FROM shut_out WHERE certificate_sha256 IN (SELECT certificate_sha256 FROM shut_out "
      "ORDER BY at_ms DESC LIMIT -1 OFFSET ?)",
      {kMaxShutOut}));
  SELVEDGE_RETURN_IF_ERROR(database_->Run("DELETE FROM node WHERE name = ?", {name}));
  return transaction.Commit();
}

Result<bool> FleetTables::IsShutOut(std::string_view certificate_sha256) {
  SELVEDGE_ASSIGN_OR_RETURN(
      const auto found, database_->QueryInt("SELECT 1 FROM shut_out WHERE certificate_sha256 = ?",
                                            {certificate_sha256}));
  return found.has_value();
}

Status FleetTables::SaveDesired(const std::vector<const NodeRecord*>& records) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  for (const NodeRecord* record : records) {
    const std::string bytes = record->desired.SerializeAsString();
    SELVEDGE_RETURN_IF_ERROR(database_->Run("UPDATE node SET desired = ? WHERE name = ?",
                                            {SqlBlob{bytes}, record->name}));
  }
  return transaction.Commit();
}

Status FleetTables::SaveHeard(const std::vector<const NodeRecord*>& records) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  for (const NodeRecord* record : records) {
    const std::string birth = record->birth.SerializeAsString();
    const std::string state = record->state.SerializeAsString();
    SELVEDGE_RETURN_IF_ERROR(
        database_->Run("UPDATE node SET birth = ?, state = ?, last_seen_ms = ? WHERE name = ?",
                       {SqlBlob{birth}, SqlBlob{state}, record->last_seen_ms, record->name}));
  }
  return transaction.Commit();
}

// ---- applications ------------------------------------------------------------------------------

Result<std::vector<ApplicationRecord>> FleetTables::LoadApplications() {
  std::vector<ApplicationRecord> records;
  Rows rows =
      database_->Query("SELECT name, manifest, images, created_ms, applied_ms FROM application");
  while (rows.Next()) {
    SELVEDGE_ASSIGN_OR_RETURN(ApplicationRecord record, ReadApplication(rows));
    records.push_back(std::move(record));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return records;
}

Status FleetTables::SaveApplications(const std::vector<ApplicationRecord>& records) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  for (const ApplicationRecord& record : records) {
    const std::string& name = record.application.name;
    SELVEDGE_RETURN_IF_ERROR(CheckRoom("application", "name", name, kMaxApplications));
    const std::string images = ImagesToJson(record);
    SELVEDGE_RETURN_IF_ERROR(database_->Run(
        "INSERT OR REPLACE INTO application (name, manifest, images, created_ms, applied_ms) "
        "VALUES (?, ?, ?, ?, ?)",
        {name, record.manifest, images, record.created_ms, record.applied_ms}));
  }
  return transaction.Commit();
}

Status FleetTables::RemoveApplication(std::string_view name) {
  return database_->Run("DELETE FROM application WHERE name = ?", {name});
}

// ---- tokens ------------------------------------------------------------------------------------

Status FleetTables::AddToken(const TokenRecord& token, std::int64_t now_ms) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  SELVEDGE_RETURN_IF_ERROR(
      database_->Run("DELETE FROM token WHERE created_ms < ? AND "
                     "((expires_ms > 0 AND expires_ms < ?) OR (spent_by != '' AND is_join))",
                     {now_ms - kKeepOldTokensMs, now_ms}));
  SELVEDGE_RETURN_IF_ERROR(CheckRoom("token", "id", token.id, kMaxTokens));
  SELVEDGE_RETURN_IF_ERROR(
      database_->Run("INSERT INTO token (id, is_join, role, site, name, via, secret_sha256, "
                     "created_ms, expires_ms) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     {token.id, token.join, token.role, token.site, token.name, token.via,
                      token.secret_sha256, token.created_ms, token.expires_ms}));
  return transaction.Commit();
}

Result<std::optional<TokenRecord>> FleetTables::FindToken(std::string_view id) {
  Rows rows =
      database_->Query(fmt::format("SELECT {} FROM token WHERE id = ?", kTokenColumns), {id});
  std::optional<TokenRecord> found;
  if (rows.Next()) found = ReadToken(rows);
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return found;
}

Result<std::vector<TokenRecord>> FleetTables::ListTokens(std::string_view after, int limit) {
  std::vector<TokenRecord> tokens;
  Rows rows = database_->Query(
      fmt::format("SELECT {} FROM token WHERE id > ? ORDER BY id LIMIT ?", kTokenColumns),
      {after, limit});
  while (rows.Next()) tokens.push_back(ReadToken(rows));
  SELVEDGE_RETURN_ERR_IF_ERROR(rows.status());
  return tokens;
}

Result<bool> FleetTables::RemoveToken(std::string_view id) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::int64_t removed,
                            database_->RunCounting("DELETE FROM token WHERE id = ?", {id}));
  return removed > 0;
}

}  // namespace selvedge
