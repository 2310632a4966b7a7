#pragma once

// EventTables: the events and aggregates of the whole fleet, each once however often and by however
// many ways it comes (docs/formats/fleet.md, "Events exactly once in effect").
//
// Owned by the control plane; thread-safe as its Database is. What was accepted is on disk when
// Accept returned OK, and only then may its Ack be sent. Failure: ResourceExhausted where the disk
// is full: nothing was taken, the sender keeps it and tries again; InvalidArgument for a batch that
// is none.
//
// Bounded: what is older than `keep_ms` or beyond `max_bytes` goes, oldest first, and its disk
// space is given back (Tidy).

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "proto/fleet.pb.h"
#include "store/database.h"
#include "store/inbox.h"

namespace selvedge {

struct EventTablesOptions {
  std::int64_t keep_ms = std::int64_t{30} * 86'400 * 1000;
  // Of both tables; the write-ahead log, a few MiB, comes on top.
  std::int64_t max_bytes = std::int64_t{2} << 30;
};

struct StoredEvent {
  std::int64_t cursor = 0;  // rises in the order of arrival
  std::string site;
  std::int64_t received_ms = 0;
  v1::Event event;
};

struct EventFilter {
  std::int64_t after = 0;  // cursor: those beyond it, or before it in descending order; 0: all
  std::string device;
  std::string site;
  std::string application;
  std::string rule;
  std::string label;          // that was detected
  std::int64_t since_ms = 0;  // received; 0: no bound
  std::int64_t until_ms = 0;
  bool descending = false;
  int limit = 100;
};

struct StoredAggregate {
  std::int64_t cursor = 0;
  std::string site;
  v1::Aggregate aggregate;
};

struct AggregateFilter {
  std::int64_t after = 0;
  std::string device;
  std::string site;
  std::int64_t since_ms = 0;  // of the window's end
  std::int64_t until_ms = 0;
  int limit = 100;
};

struct EventCounters {
  std::uint64_t events = 0;   // ever accepted
  std::uint64_t doubled = 0;  // came again, and were not counted again
  std::uint64_t aggregates = 0;
  std::uint64_t expired = 0;  // that retention took
};

class EventTables {
 public:
  static Result<std::unique_ptr<EventTables>> Open(const std::string& path,
                                                   const EventTablesOptions& options,
                                                   const Clock& clock);

  struct Accepted {
    v1::Ack ack;
    std::vector<StoredEvent> fresh;  // new, in order
    std::uint64_t aggregates = 0;    // new
    std::uint64_t doubled = 0;
  };
  // A batch of `sender`, a node of `site`. A device may send events of its own only; a gateway
  // (`any_device`) those of the devices that `allowed` names. Others are left out, and counted as
  // `foreign`: they are acknowledged, or their sender would try for ever.
  Result<Accepted> Accept(std::string_view site, std::string_view sender,
                          const v1::EventBatch& batch,
                          const std::function<bool(std::string_view device)>& allowed);
  Status Forget(std::string_view sender);

  // One more than `limit` shows that there is more: the caller cuts it off.
  Result<std::vector<StoredEvent>> Query(const EventFilter& filter);
  Result<std::vector<StoredAggregate>> QueryAggregates(const AggregateFilter& filter);
  Result<EventCounters> Counters();
  std::uint64_t foreign() const { return foreign_; }

  // Retention; call it now and then. Takes a bounded time.
  Status Tidy();
  std::int64_t FileBytes() const { return database_->FileBytes(); }

 private:
  EventTables(std::unique_ptr<Database> database, const EventTablesOptions& options,
              const Clock& clock);
  Result<bool> Insert(std::string_view site, const v1::Event& event, StoredEvent* stored);
  Result<bool> Insert(std::string_view site, const v1::Aggregate& aggregate);
  Status Count(std::string_view name, std::uint64_t by);
  Result<std::int64_t> UsedBytes();
  Result<std::int64_t> ExpireForRoom();
  Result<std::int64_t> Expire(std::string_view table, std::int64_t before_ms, int limit);

  std::unique_ptr<Database> database_;
  Inbox inbox_;
  EventTablesOptions options_;
  const Clock& clock_;
  std::atomic<std::uint64_t> foreign_{0};
};

// The application of a pipeline's name ("safety-monitor/object-detector"): what stands before '/'.
std::string_view ApplicationOf(std::string_view pipeline);

}  // namespace selvedge
