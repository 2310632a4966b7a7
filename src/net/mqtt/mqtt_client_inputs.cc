#include <algorithm>
#include <utility>

#include "net/mqtt/mqtt_client_core.h"

// What comes from outside the worker: what callers want, and what Paho tells.

namespace selvedge {
namespace {

constexpr std::size_t kMaxFilters = 1024;

}  // namespace

Status MqttClientCore::Publish(std::string topic, std::string payload, int qos, bool retain) {
  if (topic.empty() || topic.find_first_of(std::string_view("+#\0", 3)) != std::string::npos) {
    return InvalidArgumentError("a message cannot be published under such a topic");
  }
  if (qos != 0 && qos != 1) return InvalidArgumentError("the QoS of a message is 0 or 1");
  MqttMessage message{std::move(topic), std::move(payload), qos, retain};
  const std::size_t size = SizeOf(message);
  if (size > options_.max_packet) {
    return InvalidArgumentError("a message of " + std::to_string(size) + " bytes is above the " +
                                "limit of " + std::to_string(options_.max_packet));
  }
  {
    const std::lock_guard lock(mutex_);
    if (!up_ || stop_) return UnavailableError("not connected to a broker");
    if (queue_.size() + in_flight_ >= options_.max_queued_messages ||
        WaitingBytes() + size > options_.max_queued_bytes) {
      return ResourceExhaustedError("too many messages wait to be sent");
    }
    queue_bytes_ += size;
    queue_.push_back(std::move(message));
  }
  wake_.notify_one();
  return OkStatus();
}

Status MqttClientCore::Subscribe(std::string filter, int qos) {
  if (filter.empty() || filter.size() > 1024) {
    return InvalidArgumentError("a filter has 1 to 1024 bytes");
  }
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(filters_, [&](const MqttFilter& known) { return known.filter == filter; });
    if (filters_.size() >= kMaxFilters) return ResourceExhaustedError("too many subscriptions");
    filters_.push_back({filter, qos});
    new_filters_.push_back({std::move(filter), qos});
  }
  wake_.notify_one();
  return OkStatus();
}

void MqttClientCore::Unsubscribe(const std::string& filter) {
  {
    const std::lock_guard lock(mutex_);
    const auto same = [&](const MqttFilter& known) { return known.filter == filter; };
    if (std::erase_if(filters_, same) == 0) return;
    std::erase_if(new_filters_, same);
    removed_filters_.push_back(filter);
  }
  wake_.notify_one();
}

bool MqttClientCore::connected() const {
  const std::lock_guard lock(mutex_);
  return up_;
}

std::size_t MqttClientCore::queued_messages() const {
  const std::lock_guard lock(mutex_);
  return queue_.size() + in_flight_;
}

MqttTraffic MqttClientCore::traffic() const {
  SocketCounts now;
  {
    const std::lock_guard lock(meter_mutex_);
    if (const auto counts = meter_.Read()) last_counts_ = *counts;
    now = last_counts_;
  }
  const std::lock_guard lock(mutex_);
  MqttTraffic traffic = traffic_;
  traffic.stream_bytes_sent = earlier_sockets_.bytes_sent + now.bytes_sent;
  traffic.stream_bytes_received = earlier_sockets_.bytes_received + now.bytes_received;
  traffic.segments_sent = earlier_sockets_.segments_sent + now.segments_sent;
  traffic.segments_received = earlier_sockets_.segments_received + now.segments_received;
  return traffic;
}

void MqttClientCore::RetryNow() {
  {
    const std::lock_guard lock(mutex_);
    retry_now_ = true;
  }
  wake_.notify_one();
}

void MqttClientCore::Stop(MqttClient::StopMode mode) {
  const std::lock_guard one_at_a_time(stop_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (!stop_) stop_ = mode;
  }
  wake_.notify_one();
  if (worker_.joinable()) worker_.join();
}

void MqttClientCore::OnConnected() {
  {
    const std::lock_guard lock(mutex_);
    news_.connected = true;
  }
  wake_.notify_one();
}

void MqttClientCore::OnEnded(std::string reason) {
  {
    const std::lock_guard lock(mutex_);
    if (!news_.ended) news_.ended = std::move(reason);
  }
  wake_.notify_one();
}

void MqttClientCore::OnSubscribed(Status status) {
  {
    const std::lock_guard lock(mutex_);
    // Of several answers the refusal counts.
    if (!news_.subscribed || news_.subscribed->ok()) news_.subscribed = std::move(status);
  }
  wake_.notify_one();
}

void MqttClientCore::OnMessage(MqttMessage message) {
  {
    const std::lock_guard lock(mutex_);
    const std::size_t size = SizeOf(message);
    ++traffic_.messages_received;
    traffic_.payload_bytes_received += size;
    if (received_.size() >= options_.max_queued_messages ||
        received_bytes_ + size > options_.max_queued_bytes) {
      ++traffic_.dropped_messages;
      dropped_news_ = true;
    } else {
      received_bytes_ += size;
      received_.push_back(std::move(message));
    }
  }
  wake_.notify_one();
}

void MqttClientCore::OnSent(std::size_t bytes, bool refused) {
  bool room = false;
  {
    const std::lock_guard lock(mutex_);
    --in_flight_;
    in_flight_bytes_ -= bytes;
    if (refused) ++traffic_.refused_messages;
    room = std::exchange(paho_full_, false) || stop_.has_value();
  }
  if (room) wake_.notify_one();
}

void MqttClientCore::OnDisconnected() {
  {
    const std::lock_guard lock(mutex_);
    news_.disconnected = true;
  }
  wake_.notify_one();
}

}  // namespace selvedge
