#pragma once

// AgentCore: what an Agent is inside. Internal to this folder. Everything but the queue that the
// MQTT client fills belongs to the loop's thread.

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/topic.h"
#include "device/agent/agent.h"
#include "device/agent/device_probe.h"
#include "device/agent/fetcher.h"
#include "device/agent/link_server.h"
#include "device/agent/reconcile.h"
#include "device/agent/service_host.h"
#include "device/agent/snapshot.h"
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
  // Parts of the agent that can be in trouble, each on its own.
  enum class Part { kOutbox, kSending, kDesired, kDisk };
  static constexpr std::size_t kParts = 4;

  // From the MQTT client's thread to the loop.
  struct Input {
    enum class Kind { kConnected, kLost, kMessage };
    Kind kind;
    MqttMessage message;
  };

  Status MakeFolders();
  Status OpenStore();
  void OpenLinksHandler(LinkServer::Handler* handler);
  Status OpenServices();
  Status StartMqtt();
  void LearnFacts();
  void LoadDesired();
  void TakeProbe();

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
  void TakeUpDesired(Nanos now);
  void OnCommand(const std::string& payload);
  // What is to be told at once; nothing where the answer comes later.
  std::optional<v1::CommandResult> Obey(const v1::Command& command);
  Status AskForSnapshot(const std::string& id, const ServiceKey& key);
  std::string Logs(const v1::LogsRequest& request) const;
  void TakeSnapshots();
  void TakeFetches(Nanos now);
  void Act(const Action& action, Nanos now);
  Status TakeEvents(const std::vector<OutboxRecord>& records);
  void SendState(Nanos now);
  void Tidy(Nanos now);
  v1::Birth MakeBirth(bool online) const;
  void Publish(TopicKind kind, std::string payload, bool retain);
  void NoteTrouble(Part part, const Status& status);
  std::string Trouble() const;

  const AgentSetup setup_;
  const Clock& clock_;
  const std::string folder_;  // of the state
  const Nanos started_wall_;
  const std::string boot_;  // of this life of the agent

  v1::Facts facts_;
  DeviceLimits limits_;
  v1::Desired desired_;
  // A newer one that could not be written down yet, and when to try again.
  std::string pending_desired_;
  std::uint64_t pending_generation_ = 0;
  Nanos retry_desired_ = 0;
  std::array<std::string, kParts> trouble_;
  bool connected_ = false;
  bool stirred_ = true;  // something may be different in the next state
  Nanos looked_ = 0;     // when the last one was made

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
  std::vector<Input> inputs_;  // at most kMaxInputs messages
  int wake_ = -1;              // eventfd
  int lock_ = -1;              // of the state folder
  std::atomic<bool> stop_{false};
  std::thread thread_;
  // They end before what their threads use.
  std::unique_ptr<DeviceProbe> probe_;
  std::unique_ptr<SnapshotTaker> snapshots_;
  std::unique_ptr<MqttClient> mqtt_;
};

}  // namespace selvedge
