#pragma once

// A site for tests: the real selvedge-gateway as a process, a cloud made of a broker, an inbox and
// little else, and devices made of an outbox and a MqttClient.

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/child_process.h"
#include "core/topic.h"
#include "net/mqtt/broker.h"
#include "net/mqtt/mqtt_client.h"
#include "proto/fleet.pb.h"
#include "store/batch_sender.h"
#include "store/database.h"
#include "store/inbox.h"
#include "store/outbox.h"
#include "test_fleet.h"

namespace selvedge {

inline constexpr const char* kSite = "plant-1";
inline constexpr const char* kGateway = "gateway-1";

// The control plane's half of the protocol. What it committed is in memory: it is never killed
// itself, its broker is.
class FakeCloud {
 public:
  explicit FakeCloud(TestFleet* fleet);
  ~FakeCloud();

  Broker& broker() { return *broker_; }
  // The broker goes, and comes back on its port.
  void StopBroker();
  void StartBroker();
  std::string url() const;

  // The gateway's document: who its members are.
  void SetMembers(const std::vector<std::string>& devices, std::uint32_t window_seconds = 60);
  void Publish(const std::string& node, TopicKind kind, const std::string& payload);

  std::size_t events() const;        // distinct
  std::uint64_t doubled() const;     // events that came a second time as new
  std::uint64_t aggregated() const;  // the sum of `events` of all aggregates
  std::vector<v1::Event> Events() const;
  // Waits until the last birth or state of a node is so.
  bool AwaitBirth(const std::string& node, const std::function<bool(const v1::Birth&)>& holds);
  bool AwaitState(const std::string& node, const std::function<bool(const v1::State&)>& holds);
  bool AwaitResult(const std::string& node, const std::string& id);
  bool Heard(const std::string& node) const;

 private:
  void OnMessage(const MqttMessage& message);
  void Commit(const std::string& node, const v1::EventBatch& batch);
  template <typename Holds>
  bool Await(Holds holds);

  TestFleet* fleet_;
  BrokerOptions broker_options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Inbox> inbox_;
  std::map<std::string, std::string> desired_;  // published again with every connection
  std::map<std::string, v1::Event> events_;
  std::uint64_t doubled_ = 0;
  std::uint64_t aggregated_ = 0;
  std::map<std::string, v1::Birth> births_;
  std::map<std::string, v1::State> states_;
  std::set<std::string> results_;
  std::uint64_t generation_ = 0;
  std::unique_ptr<MqttClient> client_;
};

// A device's half.
class FakeDevice {
 public:
  FakeDevice(TestFleet* fleet, const std::string& name, int port);
  ~FakeDevice();

  // Appends so many rule events; their ids are NAME-1, NAME-2, …
  void Add(int events);
  std::uint64_t waiting() const;
  std::uint64_t added() const { return added_; }
  MqttClient& client() { return *client_; }
  // The last document it heard; empty where none came.
  v1::Desired desired() const;
  std::vector<std::string> commands() const;
  void SendState(double frames_per_second, std::int64_t time_unix_ns);

 private:
  void Run();

  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<OutboxSender> sender_;
  v1::Desired desired_;
  std::vector<std::string> commands_;
  std::uint64_t added_ = 0;
  bool stop_ = false;
  std::unique_ptr<MqttClient> client_;
  std::thread timer_;
};

// The process.
class GatewayProcess {
 public:
  // Has joined already: its identity is written. `state` is a folder that may be there.
  GatewayProcess(TestFleet* fleet, const FakeCloud& cloud, std::string state);
  ~GatewayProcess();

  void Start(std::vector<std::string> more = {});
  void Kill();        // SIGKILL
  int Terminate();    // SIGTERM; its exit code
  bool AwaitReady();  // its broker serves
  int mqtt_port() const;
  int metrics_port() const { return metrics_port_; }
  int https_port() const;
  pid_t pid() const { return child_->pid(); }
  std::string Log() const;
  std::string Get(const std::string& path) const;  // over the plain port
  double Metric(const std::string& name) const;    // -1 where it is not there

 private:
  int Place(const char* name) const;

  TestFleet* fleet_;
  std::string state_;
  int metrics_port_;
  std::optional<ChildProcess> child_;
};

}  // namespace selvedge
