#include "store/batch_sender.h"

#include <algorithm>
#include <utility>

namespace selvedge {

BatchSender::BatchSender(const BatchSenderOptions& options, const Clock& clock)
    : options_(options), clock_(clock) {}

void BatchSender::BeginAgain() {
  cursor_ = oldest_;
  flights_.clear();
  gather_until_ = 0;  // what was sent once has been gathered
}

void BatchSender::Connected() {
  connected_ = true;
  refused_until_ = 0;
  BeginAgain();
}

void BatchSender::Disconnected() {
  connected_ = false;
  BeginAgain();
}

void BatchSender::Reset() {
  oldest_ = 1;
  next_ = 1;
  BeginAgain();
}

void BatchSender::Holds(std::uint64_t oldest, std::uint64_t next) {
  const Nanos now = clock_.Monotonic();
  // The first of what was not sent yet decides how long is gathered.
  if (next > next_ && cursor_ >= next_) gather_until_ = now + options_.gather;
  if (oldest > oldest_) progress_ = now;
  oldest_ = oldest;
  next_ = next;
  cursor_ = std::clamp(cursor_, oldest_, next_);
  std::erase_if(flights_, [&](const Flight& flight) { return flight.end <= oldest_; });
}

std::optional<std::uint64_t> BatchSender::Due() {
  if (!connected_) return std::nullopt;
  const Nanos now = clock_.Monotonic();
  if (!flights_.empty() &&
      now - std::max(progress_, flights_.front().sent) >= options_.ack_timeout) {
    ++retries_;
    BeginAgain();
  }
  if (cursor_ >= next_ || now < refused_until_) return std::nullopt;
  if (static_cast<int>(flights_.size()) >= options_.window) return std::nullopt;
  const bool full = next_ - cursor_ >= static_cast<std::uint64_t>(options_.max_records);
  if (!full && now < gather_until_) return std::nullopt;
  return cursor_;
}

void BatchSender::Sent(std::uint64_t first, std::uint64_t count) {
  if (count == 0) return;
  const Nanos now = clock_.Monotonic();
  if (flights_.empty()) progress_ = now;
  cursor_ = std::min(first + count, next_);
  flights_.push_back({cursor_, now});
}

void BatchSender::Refused() {
  refused_until_ = clock_.Monotonic() + options_.ack_timeout / 5;
}

std::optional<Nanos> BatchSender::NextTime() const {
  if (!connected_) return std::nullopt;
  std::optional<Nanos> time;
  if (!flights_.empty()) {
    time = std::max(progress_, flights_.front().sent) + options_.ack_timeout;
  }
  if (cursor_ < next_ && static_cast<int>(flights_.size()) < options_.window) {
    const bool full = next_ - cursor_ >= static_cast<std::uint64_t>(options_.max_records);
    const Nanos send = std::max(full ? 0 : gather_until_, refused_until_);
    time = time ? std::min(*time, send) : send;
  }
  return time;
}

OutboxSender::OutboxSender(Outbox* outbox, const Clock& clock, Publish publish,
                           const BatchSenderOptions& options)
    : outbox_(outbox), options_(options), sender_(options, clock), publish_(std::move(publish)) {}

Status OutboxSender::Look() {
  Result<OutboxView> view = outbox_->View();
  if (!view) return std::move(view).error();
  if (view->stream != stream_) {
    stream_ = std::move(view->stream);
    sender_.Reset();
  }
  sender_.Holds(view->oldest, view->next);
  return OkStatus();
}

Status OutboxSender::OnAck(const v1::Ack& ack) {
  const Result<bool> changed = outbox_->Acknowledge(ack);
  if (!changed) return changed.error();
  return *changed ? Look() : OkStatus();
}

Status OutboxSender::Pump() {
  SELVEDGE_RETURN_IF_ERROR(Look());
  while (const std::optional<std::uint64_t> from = sender_.Due()) {
    Result<OutboxSlice> slice = outbox_->Peek(*from, options_.max_bytes, options_.max_records);
    if (!slice) return std::move(slice).error();
    const std::uint64_t first = slice->first;
    const auto count = static_cast<std::uint64_t>(slice->records.size());
    if (count == 0 || slice->stream != stream_) return OkStatus();  // changed beneath us
    if (!publish_(MakeEventBatch(*std::move(slice)))) {
      sender_.Refused();
      return OkStatus();
    }
    sender_.Sent(first, count);
  }
  return OkStatus();
}

}  // namespace selvedge
