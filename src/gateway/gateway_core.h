#pragma once

// GatewayCore: what a Gateway is inside. Internal to this folder.

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/log.h"
#include "core/topic.h"
#include "gateway/gateway.h"
#include "gateway/gateway_metrics.h"
#include "net/mqtt/mqtt_client.h"
#include "store/batch_sender.h"

namespace selvedge {

class GatewayCore {
 public:
  GatewayCore(GatewayOptions options, MetricsRegistry* registry, const Clock& clock);
  ~GatewayCore();
  GatewayCore(const GatewayCore&) = delete;
  GatewayCore& operator=(const GatewayCore&) = delete;

  Status Start();
  void Stop();
  std::vector<int> broker_ports() const { return broker_->ports(); }
  std::string NotReady() const;
  bool cloud_connected() const { return cloud_ != nullptr && cloud_->connected(); }
  bool IsMember(std::string_view device, std::string_view certificate_sha256) const;
  void UpdateMetrics();

 private:
  struct PendingAck {
    v1::Ack ack;
    Nanos due = 0;
    bool waiting = false;
    int batches = 0;  // that it covers
  };

  Status StartBroker();
  Status StartClients();
  Status LoadDesired();

  // From the clients; each takes the lock.
  void OnSiteConnected();
  void OnSiteMessage(MqttMessage message);
  void OnCloudConnected();
  void OnCloudLost(const Status& reason, bool was_connected);
  void OnCloudMessage(MqttMessage message);

  // Under the lock.
  void HandleEvents(const std::string& device, const MqttMessage& message);
  void HandleResult(const std::string& device, MqttMessage message);
  void HandleDesired(const std::string& device, const MqttMessage& message);
  void HandleOwnDesired(const v1::Desired& desired);
  void ForgetDevices(const std::vector<std::string>& gone);
  void Queue(const std::string& device, const SiteStore::Taken& taken);
  void SendAcks(Nanos now);
  void PublishUp(const NodeRelay::Messages& messages);
  void PublishDown(const std::string& node, TopicKind kind, std::string payload);
  void SendOwnState(bool even_if_unchanged);
  void Pump();
  void CloseWindows();
  void NoteFailure(const Status& status);  // of the store; OK is none
  Nanos NextTime();
  v1::Birth OwnBirth(bool online) const;
  v1::State OwnState() const;
  std::string Trouble() const;

  void RunTimer();

  const GatewayOptions options_;
  const Clock& clock_;
  GatewayMetrics metrics_;
  const std::string boot_id_;
  const Nanos started_wall_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::unique_ptr<SiteStore> store_;
  NodeRelay relay_;
  std::optional<OutboxSender> sender_;
  v1::GatewayPolicy policy_;
  std::map<std::string, std::string> certificates_;  // of members: SHA-256
  std::uint64_t generation_ = 0;                     // of the own desired document
  std::map<std::string, PendingAck> acks_;
  std::string store_trouble_;
  Nanos store_failed_ = 0;
  std::uint64_t malformed_ = 0;  // messages, besides those that the relay counts
  std::uint64_t state_sequence_ = 0;
  std::string state_meaning_;  // of the last own state
  Nanos state_sent_ = 0;
  Nanos state_looked_ = 0;
  std::set<std::string> told_strangers_;  // named in the log, once each
  log::RateLimited store_errors_{10 * kSecond};

  std::unique_ptr<Broker> broker_;
  std::unique_ptr<MqttClient> site_;
  std::unique_ptr<MqttClient> cloud_;
  std::mutex stop_mutex_;
  std::thread timer_;
};

}  // namespace selvedge
