#pragma once

// Inbox: the receiving end of event streams (docs/formats/fleet.md, "Events exactly once in
// effect"): per sender, the stream and the last number that was committed.
//
// Lives in the receiver's Database, whose migrations hold kInboxSchema, so that what is done with
// new records is committed together with their numbers. Thread-safe as the Database is.
// Failure: InvalidArgument for a batch that is none (no answer; count it); else that of the
// Database or of the callback: nothing was taken, no Ack may be sent, and the sender tries again.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "proto/fleet.pb.h"
#include "store/database.h"

namespace selvedge {

// One entry of the owner's list of migrations.
extern const std::string_view kInboxSchema;

class Inbox {
 public:
  // What is done with new records: events and aggregates that were not had before, in order, never
  // empty. Called at most once, inside the transaction; an error rolls everything back.
  using OnNew = std::function<Status(v1::EventList* fresh)>;

  // `database` must outlive it.
  explicit Inbox(Database* database) : database_(database) {}

  struct Accepted {
    v1::Ack ack;              // to be sent to the sender
    std::uint64_t fresh = 0;  // records that were new
    std::uint64_t doubled = 0;
    bool gap = false;  // ignored: something is missing before it
  };
  // `sender` is a node's name. A gap is ignored, of an overlap only the new part is taken; the Ack
  // says what is committed by now, in each case.
  Result<Accepted> Accept(std::string_view sender, const v1::EventBatch& batch,
                          const OnNew& on_new);

  // The sender was deleted from the fleet.
  Status Forget(std::string_view sender);

 private:
  Database* database_;
};

}  // namespace selvedge
