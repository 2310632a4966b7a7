#include "store/outbox.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <utility>

#include "base/log.h"
#include "core/event_batch.h"

namespace selvedge {

// `number` never starts anew, so that a row keeps its key: a stream's numbers are those above
// `base`. `outbox_id` outlives the rows of `outbox` by OutboxOptions::remembered_ids.
const std::string_view kOutboxSchema = R"(
CREATE TABLE outbox (
  number INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  id TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE outbox_id (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE
);
CREATE TABLE outbox_state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  stream TEXT NOT NULL,
  base INTEGER NOT NULL,
  next INTEGER NOT NULL,
  waiting INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  refused INTEGER NOT NULL
);
)";

namespace {

constexpr std::size_t kMaxIdBytes = 64;
constexpr std::int64_t kRecordOverhead = 64;

std::string NewStream() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    char part[9];
    std::snprintf(part, sizeof part, "%08x", random());
    id += part;
  }
  return id;
}

// The row of outbox_state. Numbers are rows' keys here; what others see is less `base`.
struct State {
  std::string stream;
  std::int64_t base = 0;
  std::int64_t next = 1;
  std::int64_t waiting = 0;
  std::int64_t bytes = 0;
  std::int64_t accepted = 0;
  std::int64_t dropped = 0;
  std::int64_t refused = 0;

  std::int64_t oldest() const { return next - waiting; }
};

}  // namespace

OutboxRecord OutboxRecord::Of(const v1::Event& event) {
  return {RecordKind::kEvent, event.id(), event.SerializeAsString()};
}

OutboxRecord OutboxRecord::Of(const v1::Aggregate& aggregate) {
  return {RecordKind::kAggregate, aggregate.id(), aggregate.SerializeAsString()};
}

v1::OutboxStatus OutboxCounters::ToProto() const {
  v1::OutboxStatus status;
  status.set_waiting(waiting);
  status.set_accepted(accepted);
  status.set_dropped(dropped + refused);
  status.set_bytes(bytes);
  return status;
}

class Outbox::Core {
 public:
  Core(Database* database, const OutboxOptions& options) : db_(*database), options_(options) {}

  Status Begin();
  Result<Appended> Append(std::span<const OutboxRecord> records);
  Result<OutboxSlice> Peek(std::uint64_t from, std::size_t max_bytes, int max_count) const;
  Result<bool> Acknowledge(const v1::Ack& ack);
  // Read from the database, not from memory: a transaction of the caller's may have been undone.
  Result<State> Load() const;

 private:
  Status Store(const State& state);
  Status AppendOne(const OutboxRecord& record, State* state, Appended* result);
  Status DropOverCap(State* state, Appended* result);
  // Removes rows [oldest, end) and the ids that need not be remembered.
  Status Remove(std::int64_t end, State* state);

  Database& db_;
  OutboxOptions options_;
};

Result<State> Outbox::Core::Load() const {
  Rows rows = db_.Query(
      "SELECT stream, base, next, waiting, bytes, accepted, dropped, refused FROM outbox_state");
  if (!rows.Next()) {
    return Err(rows.status().ok() ? DataLossError("the outbox has no state") : rows.status());
  }
  return State{.stream = std::string(rows.Text(0)),
               .base = rows.Int(1),
               .next = rows.Int(2),
               .waiting = rows.Int(3),
               .bytes = rows.Int(4),
               .accepted = rows.Int(5),
               .dropped = rows.Int(6),
               .refused = rows.Int(7)};
}

Status Outbox::Core::Store(const State& state) {
  return db_.Run(
      "UPDATE outbox_state SET stream = ?, base = ?, next = ?, waiting = ?, bytes = ?, "
      "accepted = ?, dropped = ?, refused = ?",
      {state.stream, state.base, state.next, state.waiting, state.bytes, state.accepted,
       state.dropped, state.refused});
}

Status Outbox::Core::Begin() {
  return db_.Run(
      "INSERT OR IGNORE INTO outbox_state (one, stream, base, next, waiting, bytes, accepted, "
      "dropped, refused) VALUES (1, ?, 0, 1, 0, 0, 0, 0, 0)",
      {NewStream()});
}

Status Outbox::Core::AppendOne(const OutboxRecord& record, State* state, Appended* result) {
  if (record.id.empty() || record.id.size() > kMaxIdBytes || record.body.size() > kMaxEventBytes) {
    ++result->refused;
    ++state->refused;
    return OkStatus();
  }
  const Result<std::int64_t> fresh = db_.RunCounting(
      "INSERT OR IGNORE INTO outbox_id (number, id) VALUES (?, ?)", {state->next, record.id});
  if (!fresh) return fresh.error();
  if (*fresh == 0) {
    ++result->doubled;
    return OkStatus();
  }
  SELVEDGE_RETURN_IF_ERROR(
      db_.Run("INSERT INTO outbox (number, kind, id, body) VALUES (?, ?, ?, ?)",
              {state->next, record.kind, record.id, SqlBlob{record.body}}));
  ++state->next;
  ++state->waiting;
  state->bytes += static_cast<std::int64_t>(record.body.size()) + kRecordOverhead;
  ++state->accepted;
  ++result->accepted;
  return OkStatus();
}

Status Outbox::Core::Remove(std::int64_t end, State* state) {
  const Result<std::optional<std::int64_t>> bytes =
      db_.QueryInt("SELECT sum(length(body)) FROM outbox WHERE number < ?", {end});
  if (!bytes) return bytes.error();
  const Result<std::int64_t> gone = db_.RunCounting("DELETE FROM outbox WHERE number < ?", {end});
  if (!gone) return gone.error();
  state->waiting -= *gone;
  state->bytes -= bytes->value_or(0) + *gone * kRecordOverhead;
  const std::int64_t remembered = state->next - static_cast<std::int64_t>(options_.remembered_ids);
  return db_.Run("DELETE FROM outbox_id WHERE number < ?", {std::min(state->oldest(), remembered)});
}

Status Outbox::Core::DropOverCap(State* state, Appended* result) {
  const auto max_bytes = static_cast<std::int64_t>(options_.max_bytes);
  const auto max_records = static_cast<std::int64_t>(options_.max_records);
  if (state->bytes <= max_bytes && state->waiting <= max_records) return OkStatus();
  std::int64_t bytes = state->bytes;
  std::int64_t waiting = state->waiting;
  std::int64_t end = state->oldest();
  {
    Rows rows = db_.Query("SELECT length(body) FROM outbox ORDER BY number");
    while ((bytes > max_bytes || waiting > max_records) && rows.Next()) {
      bytes -= rows.Int(0) + kRecordOverhead;
      --waiting;
      ++end;
    }
    SELVEDGE_RETURN_IF_ERROR(rows.status());
  }
  const std::int64_t before = state->waiting;
  SELVEDGE_RETURN_IF_ERROR(Remove(end, state));
  state->dropped += before - state->waiting;
  result->dropped += static_cast<std::uint64_t>(before - state->waiting);
  return OkStatus();
}

Result<Outbox::Appended> Outbox::Core::Append(std::span<const OutboxRecord> records) {
  Transaction transaction(&db_);
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.status());
  SELVEDGE_ASSIGN_OR_RETURN(State state, Load());
  Appended result;
  for (const OutboxRecord& record : records) {
    SELVEDGE_RETURN_ERR_IF_ERROR(AppendOne(record, &state, &result));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(DropOverCap(&state, &result));
  if (result.accepted + result.refused > 0) SELVEDGE_RETURN_ERR_IF_ERROR(Store(state));
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.Commit());
  return result;
}

Result<OutboxSlice> Outbox::Core::Peek(std::uint64_t from, std::size_t max_bytes,
                                       int max_count) const {
  // A transaction, so that state and rows are of one moment.
  Transaction transaction(&db_);
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.status());
  SELVEDGE_ASSIGN_OR_RETURN(const State state, Load());
  const auto wanted = static_cast<std::int64_t>(
      std::min<std::uint64_t>(from, static_cast<std::uint64_t>(state.next - state.base)));
  const std::int64_t begin = std::max(wanted + state.base, state.oldest());
  OutboxSlice slice{.stream = state.stream,
                    .oldest = static_cast<std::uint64_t>(state.oldest() - state.base),
                    .first = static_cast<std::uint64_t>(begin - state.base),
                    .records = {}};
  Rows rows =
      db_.Query("SELECT kind, id, body FROM outbox WHERE number >= ? ORDER BY number LIMIT ?",
                {begin, max_count});
  std::size_t bytes = 0;
  while (rows.Next()) {
    const auto kind = static_cast<RecordKind>(rows.Int(0));
    const std::string_view body = rows.Blob(2);
    bytes += body.size();
    if (!slice.records.empty() && (bytes > max_bytes || kind < slice.records.back().kind)) {
      break;
    }
    slice.records.push_back({kind, std::string(rows.Text(1)), std::string(body)});
  }
  if (!rows.status().ok()) return Err(rows.status());
  return slice;
}

Result<bool> Outbox::Core::Acknowledge(const v1::Ack& ack) {
  {
    Transaction transaction(&db_, Transaction::Purpose::kFreeing);
    SELVEDGE_RETURN_ERR_IF_ERROR(transaction.status());
    SELVEDGE_ASSIGN_OR_RETURN(State state, Load());
    if (ack.stream() != state.stream) return false;
    if (ack.through() >= static_cast<std::uint64_t>(state.next - state.base)) {
      state.stream = NewStream();
      state.base = state.oldest() - 1;
    } else {
      const std::int64_t end = static_cast<std::int64_t>(ack.through()) + state.base + 1;
      if (end <= state.oldest()) return false;
      SELVEDGE_RETURN_ERR_IF_ERROR(Remove(end, &state));
    }
    SELVEDGE_RETURN_ERR_IF_ERROR(Store(state));
    SELVEDGE_RETURN_ERR_IF_ERROR(transaction.Commit());
  }
  // What the Ack covers is gone; that its pages stay for now is no failure of the Ack.
  if (const Status given = db_.GiveBackSpace(); !given.ok()) {
    log::Debug("outbox", "could not give space back", {{"error", given.message()}});
  }
  return true;
}

Outbox::Outbox(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Outbox::~Outbox() = default;

Result<std::unique_ptr<Outbox>> Outbox::Open(Database* database, const OutboxOptions& options) {
  auto core = std::make_unique<Core>(database, options);
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Begin());
  SELVEDGE_ASSIGN_OR_RETURN([[maybe_unused]] const State state, core->Load());
  return std::unique_ptr<Outbox>(new Outbox(std::move(core)));
}

Result<Outbox::Appended> Outbox::Append(std::span<const OutboxRecord> records) {
  return core_->Append(records);
}

Result<OutboxSlice> Outbox::Peek(std::uint64_t from, std::size_t max_bytes, int max_count) const {
  return core_->Peek(from, max_bytes, max_count);
}

Result<bool> Outbox::Acknowledge(const v1::Ack& ack) {
  return core_->Acknowledge(ack);
}

Result<OutboxView> Outbox::View() const {
  SELVEDGE_ASSIGN_OR_RETURN(const State state, core_->Load());
  return OutboxView{.stream = state.stream,
                    .oldest = static_cast<std::uint64_t>(state.oldest() - state.base),
                    .next = static_cast<std::uint64_t>(state.next - state.base),
                    .counters = {.waiting = static_cast<std::uint64_t>(state.waiting),
                                 .accepted = static_cast<std::uint64_t>(state.accepted),
                                 .dropped = static_cast<std::uint64_t>(state.dropped),
                                 .refused = static_cast<std::uint64_t>(state.refused),
                                 .bytes = static_cast<std::uint64_t>(state.bytes)}};
}

v1::EventBatch MakeEventBatch(OutboxSlice slice) {
  v1::EventList list;
  for (OutboxRecord& record : slice.records) {
    // One that does not parse (a hand in the file) still takes its number, under its id.
    if (record.kind == RecordKind::kEvent) {
      v1::Event* event = list.add_events();
      if (!event->ParseFromString(record.body)) {
        event->Clear();
        event->set_id(record.id);
      }
    } else {
      v1::Aggregate* aggregate = list.add_aggregates();
      if (!aggregate->ParseFromString(record.body)) {
        aggregate->Clear();
        aggregate->set_id(record.id);
      }
    }
  }
  v1::EventBatch batch;
  batch.set_stream(std::move(slice.stream));
  batch.set_first(slice.first);
  if (slice.oldest > 1) batch.set_skip_to(slice.oldest);
  PackEvents(std::move(list), &batch);
  return batch;
}

}  // namespace selvedge
