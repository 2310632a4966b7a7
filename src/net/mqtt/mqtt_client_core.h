#pragma once

// MqttClientCore: what a MqttClient is inside. Internal to this folder.
//
// One worker thread owns the connection and calls the owner's callbacks. Paho's threads only put
// away what they are told (Sink), callers only what they want (Publish, Subscribe); both under
// `mutex_`, which is never held while Paho or a callback is called.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "base/log.h"
#include "net/mqtt/mqtt_client.h"
#include "net/mqtt/paho_connection.h"
#include "net/mqtt/resolve.h"
#include "net/mqtt/socket_meter.h"

namespace selvedge {

// What a message counts in a queue's limit.
inline std::size_t SizeOf(const MqttMessage& message) {
  return message.topic.size() + message.payload.size();
}

class MqttClientCore final : public PahoConnection::Sink {
 public:
  MqttClientCore(MqttOptions options, std::vector<MqttUri> uris, MqttCallbacks callbacks);
  ~MqttClientCore() override;
  MqttClientCore(const MqttClientCore&) = delete;
  MqttClientCore& operator=(const MqttClientCore&) = delete;

  void Start();
  Status Publish(std::string topic, std::string payload, int qos, bool retain);
  Status Subscribe(std::string filter, int qos);
  void Unsubscribe(const std::string& filter);
  bool connected() const;
  std::size_t queued_messages() const;
  MqttTraffic traffic() const;
  void RetryNow();
  void Stop(MqttClient::StopMode mode);

  // On Paho's threads.
  void OnConnected() override;
  void OnEnded(std::string reason) override;
  void OnSubscribed(Status status) override;
  void OnMessage(MqttMessage message) override;
  void OnSent(std::size_t bytes, bool refused) override;
  void OnDisconnected() override;

 private:
  enum class Phase { kWaiting, kResolving, kConnecting, kSubscribing, kUp };
  // What Paho told since the worker last looked.
  struct News {
    bool connected = false;
    bool disconnected = false;
    std::optional<std::string> ended;
    std::optional<Status> subscribed;
  };

  // All of these run on the worker, without `mutex_`.
  void Run();
  bool SleepUntilDue();  // false where it is to stop
  void HandleNews(News news);
  void HandleTime();
  void BeginAttempt();
  void HandleResolved();
  void BeginSubscribing();
  void BecomeUp();
  void Fail(const Status& reason);
  void SendQueued();
  void HandMessages();
  void UpdateSubscriptions();
  void CountSocket();
  void End(MqttClient::StopMode mode);
  void WaitForGoodbye(Nanos until);

  bool HasWork() const;  // under `mutex_`
  std::size_t WaitingBytes() const { return queue_bytes_ + in_flight_bytes_; }

  const MqttOptions options_;
  const std::vector<MqttUri> uris_;
  const MqttCallbacks callbacks_;

  // The worker's own.
  Phase phase_ = Phase::kWaiting;
  Nanos due_ = 0;  // of the phase: the next attempt, or when this one has taken too long
  std::size_t next_uri_ = 0;
  Backoff backoff_;
  Nanos up_since_ = 0;
  Nanos subscribe_again_ = 0;  // after messages were dropped: what is retained comes again; 0: no
  std::unique_ptr<PahoConnection> connection_;
  Resolver resolver_;
  std::vector<std::string> addresses_;
  log::RateLimited failures_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  News news_;
  bool resolved_ = false;
  bool retry_now_ = false;
  std::optional<MqttClient::StopMode> stop_;
  bool up_ = false;
  std::deque<MqttMessage> queue_;  // to be sent
  std::size_t queue_bytes_ = 0;
  std::size_t in_flight_ = 0;  // messages that Paho has
  std::size_t in_flight_bytes_ = 0;
  bool paho_full_ = false;
  std::deque<MqttMessage> received_;
  std::size_t received_bytes_ = 0;
  bool dropped_news_ = false;
  std::vector<MqttFilter> filters_;
  std::vector<MqttFilter> new_filters_;       // since the last subscription
  std::vector<std::string> removed_filters_;  // likewise
  MqttTraffic traffic_;
  SocketCounts earlier_sockets_;  // of connections that are gone

  // Read from any thread, changed by the worker, under `meter_mutex_`.
  mutable std::mutex meter_mutex_;
  SocketMeter meter_;
  mutable SocketCounts last_counts_;

  std::mutex stop_mutex_;  // one Stop at a time
  std::thread worker_;
};

}  // namespace selvedge
