#pragma once

// BatchSender: when to send which numbers of an outbox (docs/formats/fleet.md, "Events exactly once
// in effect"): a window of batches on the way, and from the last acknowledged number again after a
// reconnection or where no Ack comes (go-back-N). Pure: inputs and Clock in, decisions out.
// OutboxSender: the same with its Outbox and a way to publish, for device and gateway.
//
// Thread-compatible: all calls from one thread, or under one lock.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "proto/fleet.pb.h"
#include "store/outbox.h"

namespace selvedge {

struct BatchSenderOptions {
  int window = 8;  // batches on the way
  Nanos ack_timeout = 5 * kSecond;
  // A batch that is not full waits so long for more; 0 sends at once.
  Nanos gather = 50 * kMillisecond;
  int max_records = 500;                            // of a batch
  std::size_t max_bytes = std::size_t{120} * 1024;  // of a batch's records
};

class BatchSender {
 public:
  BatchSender(const BatchSenderOptions& options, const Clock& clock);

  void Connected();
  void Disconnected();
  // What the outbox holds: numbers [oldest, next). Call it after every change. Something new begins
  // the gathering; what is below `oldest` is gone, be it by an Ack or by the cap.
  void Holds(std::uint64_t oldest, std::uint64_t next);
  // Another stream, numbered anew.
  void Reset();

  // The number from which a batch is to be sent now, if any.
  std::optional<std::uint64_t> Due();
  // It was sent: numbers [first, first + count).
  void Sent(std::uint64_t first, std::uint64_t count);
  // It could not be handed over: nothing is due for `ack_timeout` / 5.
  void Refused();

  // When to ask Due again at the latest, monotonic; nothing where only an input can change it.
  std::optional<Nanos> NextTime() const;
  bool connected() const { return connected_; }
  std::uint64_t retries() const { return retries_; }  // times it began again for want of an Ack

 private:
  struct Flight {
    std::uint64_t end;  // one after its last number
    Nanos sent;
  };
  void BeginAgain();

  BatchSenderOptions options_;
  const Clock& clock_;
  bool connected_ = false;
  std::uint64_t oldest_ = 1;
  std::uint64_t next_ = 1;
  std::uint64_t cursor_ = 1;  // the next number to send
  Nanos progress_ = 0;        // of the last Ack, or of the first batch on the way
  Nanos gather_until_ = 0;    // of what was not sent yet
  Nanos refused_until_ = 0;
  std::uint64_t retries_ = 0;
  std::vector<Flight> flights_;  // oldest first, at most `window`
};

class OutboxSender {
 public:
  // Hands a batch to the connection; false where it does not take it now.
  using Publish = std::function<bool(const v1::EventBatch&)>;

  // `outbox` and `clock` must outlive it.
  OutboxSender(Outbox* outbox, const Clock& clock, Publish publish,
               const BatchSenderOptions& options = {});

  void Connected() { sender_.Connected(); }
  void Disconnected() { sender_.Disconnected(); }
  Status OnAck(const v1::Ack& ack);
  // Publishes what is due. Call it after Append, OnAck, Connected, and at NextTime().
  Status Pump();
  std::optional<Nanos> NextTime() const { return sender_.NextTime(); }
  const BatchSender& sender() const { return sender_; }

 private:
  Status Look();

  Outbox* outbox_;
  BatchSenderOptions options_;
  BatchSender sender_;
  Publish publish_;
  std::string stream_;
};

}  // namespace selvedge
