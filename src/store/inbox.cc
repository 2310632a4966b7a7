#include "store/inbox.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/event_batch.h"

namespace selvedge {

// A sender's former streams are kept for a while, so that a late copy of an old batch is known.
const std::string_view kInboxSchema = R"(
CREATE TABLE inbox (
  sender TEXT NOT NULL,
  stream TEXT NOT NULL,
  through INTEGER NOT NULL,
  begun INTEGER NOT NULL,
  PRIMARY KEY (sender, stream)
) WITHOUT ROWID;
)";

namespace {

constexpr std::size_t kMaxStreamBytes = 64;
constexpr std::uint64_t kMaxNumber = std::uint64_t{1} << 62;
constexpr int kStreamsKept = 4;

Status CheckHead(std::string_view sender, const v1::EventBatch& batch) {
  const std::string of = "a batch of events from " + std::string(sender.substr(0, 64));
  if (batch.stream().empty() || batch.stream().size() > kMaxStreamBytes) {
    return InvalidArgumentError(of + " names no stream");
  }
  if (batch.first() == 0 || batch.first() > kMaxNumber || batch.skip_to() > kMaxNumber) {
    return InvalidArgumentError(of +
                                " has a number that cannot be: " + std::to_string(batch.first()));
  }
  return OkStatus();
}

// Removes the first `count` records, which are had already.
void RemoveHad(std::uint64_t count, v1::EventList* list) {
  const int events = static_cast<int>(
      std::min<std::uint64_t>(count, static_cast<std::uint64_t>(list->events_size())));
  list->mutable_events()->DeleteSubrange(0, events);
  const int aggregates = static_cast<int>(
      std::min<std::uint64_t>(count - static_cast<std::uint64_t>(events),
                              static_cast<std::uint64_t>(list->aggregates_size())));
  list->mutable_aggregates()->DeleteSubrange(0, aggregates);
}

Status StoreNumber(Database* db, std::string_view sender, std::string_view stream,
                   std::uint64_t through, bool known) {
  if (known) {
    return db->Run("UPDATE inbox SET through = ? WHERE sender = ? AND stream = ?",
                   {through, sender, stream});
  }
  SELVEDGE_RETURN_IF_ERROR(
      db->Run("INSERT INTO inbox (sender, stream, through, begun) VALUES (?1, ?2, ?3, "
              "(SELECT coalesce(max(begun), 0) + 1 FROM inbox WHERE sender = ?1))",
              {sender, stream, through}));
  return db->Run(
      "DELETE FROM inbox WHERE sender = ?1 AND begun <= "
      "(SELECT max(begun) FROM inbox WHERE sender = ?1) - ?2",
      {sender, kStreamsKept});
}

}  // namespace

Result<Inbox::Accepted> Inbox::Accept(std::string_view sender, const v1::EventBatch& batch,
                                      const OnNew& on_new) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckHead(sender, batch));
  SELVEDGE_ASSIGN_OR_RETURN(v1::EventList list, UnpackEvents(batch));
  const auto count = static_cast<std::uint64_t>(list.events_size() + list.aggregates_size());

  Transaction transaction(database_);
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.status());
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::optional<std::int64_t> known,
      database_->QueryInt("SELECT through FROM inbox WHERE sender = ? AND stream = ?",
                          {sender, batch.stream()}));
  const auto had = static_cast<std::uint64_t>(known.value_or(0));
  // What is below skip_to will never come: as good as had.
  const std::uint64_t base = std::max(had, batch.skip_to() == 0 ? 0 : batch.skip_to() - 1);

  Accepted result;
  result.ack.set_stream(batch.stream());
  result.gap = batch.first() > base + 1;
  const std::uint64_t doubled = result.gap ? 0 : std::min(count, base + 1 - batch.first());
  result.doubled = std::min(doubled, had >= batch.first() ? had + 1 - batch.first() : 0);
  result.fresh = result.gap ? 0 : count - doubled;
  const std::uint64_t through = base + result.fresh;
  result.ack.set_through(through);
  if (through == had) return result;

  SELVEDGE_RETURN_ERR_IF_ERROR(
      StoreNumber(database_, sender, batch.stream(), through, known.has_value()));
  if (result.fresh > 0) {
    RemoveHad(doubled, &list);
    SELVEDGE_RETURN_ERR_IF_ERROR(on_new(&list));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.Commit());
  return result;
}

Status Inbox::Forget(std::string_view sender) {
  return database_->Run("DELETE FROM inbox WHERE sender = ?", {sender});
}

}  // namespace selvedge
