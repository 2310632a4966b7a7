#include "gateway/site_store.h"

#include <algorithm>
#include <array>
#include <span>

#include "core/topic.h"

namespace selvedge {
namespace {

constexpr std::string_view kSiteSchema = R"(
CREATE TABLE desired (
  device TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE window (
  device TEXT NOT NULL,
  application TEXT NOT NULL,
  counts BLOB NOT NULL,
  latencies TEXT NOT NULL,
  carried BLOB NOT NULL,
  PRIMARY KEY (device, application)
) STRICT, WITHOUT ROWID;
)";

constexpr std::size_t kMaxApplication = 200;

}  // namespace

Result<std::unique_ptr<SiteStore>> SiteStore::Open(const std::string& path, const Clock& clock,
                                                   const SiteStoreOptions& options) {
  const std::array migrations = {kInboxSchema, kOutboxSchema, kSiteSchema};
  SELVEDGE_ASSIGN_OR_RETURN(auto database,
                            Database::Open(path, std::span<const std::string_view>(migrations)));
  SELVEDGE_ASSIGN_OR_RETURN(auto outbox, Outbox::Open(database.get(), options.outbox));
  std::unique_ptr<SiteStore> store(
      new SiteStore(std::move(database), std::move(outbox), clock, options));
  SELVEDGE_RETURN_ERR_IF_ERROR(store->LoadWindows());
  return store;
}

SiteStore::SiteStore(std::unique_ptr<Database> database, std::unique_ptr<Outbox> outbox,
                     const Clock& clock, const SiteStoreOptions& options)
    : database_(std::move(database)),
      outbox_(std::move(outbox)),
      inbox_(database_.get()),
      clock_(clock),
      options_(options),
      ids_(clock, EventIdGenerator::RandomSeed()) {}

Status SiteStore::LoadWindows() {
  std::vector<Key> damaged;
  Rows rows =
      database_->Query("SELECT device, application, counts, latencies, carried FROM window");
  while (rows.Next()) {
    Key key{std::string(rows.Text(0)), std::string(rows.Text(1))};
    Result<AggregateWindow> window = AggregateWindow::Restore(
        {std::string(rows.Blob(2)), std::string(rows.Text(3)), std::string(rows.Blob(4))});
    if (!window) return window.error().WithContext("the window of " + key.first);
    // How long it was open is not known where clocks were changed meanwhile: at most all of it.
    const Nanos age = std::max<Nanos>(clock_.Wall() - window->begin(), 0);
    windows_[std::move(key)] = {*std::move(window), clock_.Monotonic() - age};
  }
  return rows.status();
}

Status SiteStore::StoreWindow(const Key& key, const AggregateWindow& window) {
  const AggregateWindow::Stored stored = window.Store();
  return database_->Run(
      "INSERT OR REPLACE INTO window (device, application, counts, latencies, carried) "
      "VALUES (?, ?, ?, ?, ?)",
      {key.first, key.second, SqlBlob{stored.counts}, stored.latencies, SqlBlob{stored.carried}});
}

Status SiteStore::TakeFresh(const std::string& device, v1::GatewayPolicy::Raw raw,
                            v1::EventList* fresh, Windows* touched, std::uint64_t* passed_on) {
  std::vector<OutboxRecord> records;
  for (v1::Event& event : *fresh->mutable_events()) {
    event.set_device(device);
    const Key key{device, event.pipeline().substr(0, kMaxApplication)};
    auto window = touched->find(key);
    if (window == touched->end()) {
      const auto open = windows_.find(key);
      if (open != windows_.end()) {
        window = touched->emplace(key, open->second).first;
        // One that nothing was seen in yet begins with what is seen.
        if (window->second.window.events() == 0) {
          window->second = {open->second.window.NextWindow(clock_.Wall()), clock_.Monotonic()};
        }
      } else if (windows_.size() + touched->size() < options_.max_windows) {
        window =
            touched->emplace(key, OpenWindow{AggregateWindow(clock_.Wall()), clock_.Monotonic()})
                .first;
      }
    }
    if (window != touched->end()) window->second.window.Add(event);
    if (PassesRaw(raw, event)) records.push_back(OutboxRecord::Of(event));
  }
  for (const auto& [key, open] : *touched) {
    SELVEDGE_RETURN_IF_ERROR(StoreWindow(key, open.window));
  }
  if (records.empty()) return OkStatus();
  const Result<Outbox::Appended> appended = outbox_->Append(records);
  if (!appended) return appended.error();
  *passed_on = appended->accepted;
  return OkStatus();
}

Result<SiteStore::Taken> SiteStore::Accept(const std::string& device, const v1::EventBatch& batch,
                                           v1::GatewayPolicy::Raw raw) {
  Windows touched;
  std::uint64_t passed_on = 0;
  SELVEDGE_ASSIGN_OR_RETURN(Inbox::Accepted accepted,
                            inbox_.Accept(device, batch, [&](v1::EventList* fresh) {
                              touched.clear();
                              return TakeFresh(device, raw, fresh, &touched, &passed_on);
                            }));
  // What is in memory follows what was committed.
  for (auto& [key, open] : touched) windows_[key] = std::move(open);
  return Taken{.ack = std::move(accepted.ack),
               .fresh = accepted.fresh,
               .doubled = accepted.doubled,
               .passed_on = passed_on,
               .gap = accepted.gap};
}

Result<int> SiteStore::CloseWindows(Nanos length) {
  const Nanos now = clock_.Monotonic();
  std::vector<OutboxRecord> records;
  std::vector<std::pair<Key, OpenWindow>> closed;
  for (const auto& [key, open] : windows_) {
    if (open.window.events() == 0 || now - open.opened < length) continue;
    records.push_back(OutboxRecord::Of(
        open.window.Finish(clock_.Wall(), key.first, key.second, ids_.Next().text())));
    closed.emplace_back(key, OpenWindow{open.window.NextWindow(clock_.Wall()), now});
  }
  if (closed.empty()) return 0;
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_ERR_IF_ERROR(Status(transaction.status()));
  for (const auto& [key, open] : closed) {
    SELVEDGE_RETURN_ERR_IF_ERROR(StoreWindow(key, open.window));
  }
  const Result<Outbox::Appended> appended = outbox_->Append(records);
  if (!appended) return Err(appended.error());
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.Commit());
  for (auto& [key, open] : closed) windows_[key] = std::move(open);
  return static_cast<int>(closed.size());
}

std::optional<Nanos> SiteStore::NextClose(Nanos length) const {
  std::optional<Nanos> next;
  for (const auto& [key, open] : windows_) {
    if (open.window.events() == 0) continue;
    if (!next || open.opened + length < *next) next = open.opened + length;
  }
  return next;
}

Result<bool> SiteStore::KeepDesired(const std::string& device, const v1::Desired& desired,
                                    std::string_view payload) {
  bool known = false;
  {
    Rows rows =
        database_->Query("SELECT generation, payload FROM desired WHERE device = ?", {device});
    known = rows.Next();
    if (known && (desired.generation() < static_cast<std::uint64_t>(rows.Int(0)) ||
                  rows.Blob(1) == payload)) {
      return false;
    }
    SELVEDGE_RETURN_ERR_IF_ERROR(Status(rows.status()));
  }
  SELVEDGE_ASSIGN_OR_RETURN(const std::optional<std::int64_t> count,
                            database_->QueryInt("SELECT count(*) FROM desired"));
  if (!known && count.value_or(0) >= static_cast<std::int64_t>(options_.max_desired)) {
    return Err(ResourceExhaustedError("the gateway keeps no more than " +
                                      std::to_string(options_.max_desired) + " desired documents"));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(database_->Run(
      "INSERT OR REPLACE INTO desired (device, generation, payload) VALUES (?, ?, ?)",
      {device, static_cast<std::int64_t>(desired.generation()), SqlBlob{payload}}));
  return true;
}

Result<std::vector<SiteStore::Desired>> SiteStore::AllDesired() {
  std::vector<Desired> all;
  Rows rows = database_->Query("SELECT device, payload FROM desired ORDER BY device");
  while (rows.Next()) all.push_back({std::string(rows.Text(0)), std::string(rows.Blob(1))});
  SELVEDGE_RETURN_ERR_IF_ERROR(Status(rows.status()));
  return all;
}

Result<std::optional<std::string>> SiteStore::FindDesired(std::string_view device) {
  Rows rows = database_->Query("SELECT payload FROM desired WHERE device = ?", {device});
  if (rows.Next()) return std::optional<std::string>(rows.Blob(0));
  SELVEDGE_RETURN_ERR_IF_ERROR(Status(rows.status()));
  return std::optional<std::string>();
}

Status SiteStore::Forget(const std::string& device) {
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  SELVEDGE_RETURN_IF_ERROR(database_->Run("DELETE FROM desired WHERE device = ?", {device}));
  SELVEDGE_RETURN_IF_ERROR(database_->Run("DELETE FROM window WHERE device = ?", {device}));
  SELVEDGE_RETURN_IF_ERROR(inbox_.Forget(device));
  SELVEDGE_RETURN_IF_ERROR(transaction.Commit());
  std::erase_if(windows_, [&](const auto& entry) { return entry.first.first == device; });
  return OkStatus();
}

}  // namespace selvedge
