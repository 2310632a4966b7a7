#pragma once

// Outbox: events that wait for the next hop's Ack, on disk (docs/formats/fleet.md, "Events exactly
// once in effect").
//
// Records are numbered from 1 without gaps within a stream, whose id is made with the outbox. A
// record is in when Append returned OK, and stays until an Ack covers it or the declared cap pushes
// it out, which is counted. Lives in a Database whose migrations hold kOutboxSchema; thread-safe as
// the Database is. Append inside a Transaction of the caller's is committed with it.
// Failure: that of the Database; ResourceExhausted where the disk is full: nothing was taken, try
// again.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "proto/fleet.pb.h"
#include "store/database.h"

namespace selvedge {

// One entry of the owner's list of migrations.
extern const std::string_view kOutboxSchema;

enum class RecordKind { kEvent = 0, kAggregate = 1 };

struct OutboxRecord {
  RecordKind kind = RecordKind::kEvent;
  std::string id;    // ULID; at most 64 bytes, not empty
  std::string body;  // serialised v1::Event or v1::Aggregate, at most kMaxEventBytes

  static OutboxRecord Of(const v1::Event& event);
  static OutboxRecord Of(const v1::Aggregate& aggregate);
};

struct OutboxOptions {
  // The cap: what is above it goes, oldest first. Bytes are those of the records, with 64 for the
  // keeping of each; the file is somewhat larger.
  std::uint64_t max_bytes = std::uint64_t{256} << 20;
  std::uint64_t max_records = 2'000'000;
  // Ids of records that were acknowledged are remembered, so that a source that lost our answer may
  // offer them again: the newest so many.
  std::uint64_t remembered_ids = 20'000;
};

struct OutboxCounters {
  std::uint64_t waiting = 0;
  std::uint64_t accepted = 0;  // since the outbox was made, like the next two
  std::uint64_t dropped = 0;   // over the cap
  std::uint64_t refused = 0;   // without an id, or above kMaxEventBytes
  std::uint64_t bytes = 0;     // of the waiting records

  v1::OutboxStatus ToProto() const;
};

struct OutboxSlice {
  std::string stream;
  std::uint64_t oldest = 1;  // that waits; below it nothing will come any more
  std::uint64_t first = 1;   // number of records[0]; where there are none, the next number
  std::vector<OutboxRecord> records;
};

struct OutboxView {
  std::string stream;
  std::uint64_t oldest = 1;  // number of the oldest that waits; `next` where none does
  std::uint64_t next = 1;    // number of the next record
  OutboxCounters counters;
};

class Outbox {
 public:
  // Makes the stream id at the first open. `database` must outlive it.
  static Result<std::unique_ptr<Outbox>> Open(Database* database,
                                              const OutboxOptions& options = {});
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  struct Appended {
    std::uint64_t accepted = 0;
    std::uint64_t doubled = 0;  // of ids that it knows: already safe, so nothing to do
    std::uint64_t refused = 0;
    std::uint64_t dropped = 0;  // older ones that went for these
  };
  // All in one transaction.
  Result<Appended> Append(std::span<const OutboxRecord> records);

  // From number `from` or, where that is gone, the oldest on: at most `max_bytes` of bodies and
  // `max_count` records, but one at least where any waits. Events that come after an aggregate are
  // left for the next slice, as a batch carries its events first.
  Result<OutboxSlice> Peek(std::uint64_t from, std::size_t max_bytes, int max_count) const;

  // Forgets what the Ack covers. An Ack of another stream does nothing. One that covers numbers
  // never given out means that this file is older than what the receiver knows (restored from a
  // backup): what waits then gets a new stream. Gives the disk its space back. True where something
  // changed.
  Result<bool> Acknowledge(const v1::Ack& ack);

  Result<OutboxView> View() const;

 private:
  class Core;
  explicit Outbox(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

// The slice as a message, packed where that makes it smaller. `oldest` becomes skip_to.
v1::EventBatch MakeEventBatch(OutboxSlice slice);

}  // namespace selvedge
