#pragma once

// AgentCore: what an Agent is inside. Internal to this folder. Everything but the queue that the
// MQTT client fills belongs to the loop's thread.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/topic.h"
#include "device/agent/agent.h"
#include "device/agent/fetcher.h"
#include "device/agent/link_server.h"
#include "device/agent/reconcile.h"
#include "device/agent/service_host.h"
#include "device/agent/spec_check.h"
#include "device/agent/state_report.h"
#include "net/mqtt/mqtt_client.h"
#include "store/batch_sender.h"
#include "store/database.h"
#include "store/outbox.h"

namespace selvedge {

class AgentCore {
 public:
  AgentCore(AgentSetup setup, const Clock& clock);
  ~AgentCore();
  AgentCore(const AgentCore&) = delete;
  AgentCore& operator=(const AgentCore&) = delete;

  Status Start();
  void Stop();

 private:
  // From the MQTT client's thread to the loop.
  struct Input {
    enum class Kind { kConnected, kLost, kMessage };
    Kind kind;
    MqttMessage message;
  };

  Status MakeFolders() const;
  Status OpenStore();
  Status StartMqtt();
  void LearnFacts();
  void LoadDesired();

  void Run();
  void Turn(Nanos now);
  int PollTimeout(Nanos now) const;
  void WaitForWork(Nanos now);
  void Push(Input input);
  void Wake() const;

  void TakeInputs();
  void OnConnected();
  void OnMessage(const MqttMessage& message);
  void OnDesired(const std::string& payload);
  void OnCommand(const std::string& payload);
  std::string Logs(const v1::LogsRequest& request) const;
  void TakeFetches(Nanos now);
  void Act(const Action& action, Nanos now);
  Status TakeEvents(const std::vector<OutboxRecord>& records);
  void SendState(Nanos now);
  void Tidy(Nanos now);
  v1::Birth MakeBirth(bool online) const;
  void Publish(TopicKind kind, std::string payload, bool retain);
  void NoteTrouble(const Status& status);

  const AgentSetup setup_;
  const Clock& clock_;
  const std::string folder_;  // of the state
  const std::string boot_;    // of this life of the agent

  v1::Facts facts_;
  DeviceLimits limits_;
  v1::Desired desired_;
  std::string trouble_;
  bool connected_ = false;

  std::unique_ptr<Database> database_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<OutboxSender> sender_;
  std::unique_ptr<Fetcher> fetcher_;
  std::unique_ptr<ServiceHost> host_;
  std::unique_ptr<LinkServer> links_;
  std::unique_ptr<Reconciler> reconciler_;
  StatePacer pacer_;
  Nanos tidied_ = 0;

  std::mutex mutex_;
  std::vector<Input> inputs_;  // at most what the client queues
  int wake_ = -1;              // eventfd
  std::atomic<bool> stop_{false};
  std::thread thread_;
  std::unique_ptr<MqttClient> mqtt_;  // ends before what its callbacks use
};

}  // namespace selvedge
