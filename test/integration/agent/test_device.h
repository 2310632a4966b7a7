#pragma once

// A device for tests: the real selvedge-agent as a process, with the real selvedge-run and the fake
// engine below it; and the site that it belongs to: a broker, an inbox, a registry.

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "core/topic.h"
#include "net/http_server.h"
#include "net/mqtt/broker.h"
#include "net/mqtt/mqtt_client.h"
#include "proto/fleet.pb.h"
#include "registry/content_store.h"
#include "registry/oci_client.h"
#include "registry/oci_server.h"
#include "registry/package.h"
#include "store/database.h"
#include "store/inbox.h"
#include "test_fleet.h"

namespace selvedge {

inline constexpr const char* kSite = "plant-1";
inline constexpr const char* kDevice = "jetson-1";

// A package of a pipeline with the fake engine, made in `folder`; `pipeline` is added to its file.
BuiltPackage MakePackage(const std::string& folder, const std::string& version,
                         const std::string& pipeline);

// What a device talks to.
class FakeSite {
 public:
  explicit FakeSite(TestFleet* fleet);
  ~FakeSite();

  // The broker goes, and comes back on its port.
  void StopBroker() { broker_.reset(); }
  void StartBroker();
  int broker_port() const { return broker_port_; }
  void StopRegistry() { http_->Stop(); }
  std::string registry() const { return "https://127.0.0.1:" + std::to_string(registry_port_); }

  // A package as MakePackage makes it. Its digest.
  std::string Push(const std::string& version, const std::string& pipeline);
  // A client that may push.
  OciClientOptions Operator();
  // A new generation of the device's document.
  void Want(const std::vector<v1::ServiceSpec>& services, const std::string& registry = {});
  // Whatever it is, as the device's document.
  void SendDesired(const std::string& payload);
  // A service that runs the package.
  v1::ServiceSpec Service(const std::string& digest, const std::string& name = "detector") const;
  std::string Command(v1::Command command);

  bool AwaitState(const std::function<bool(const v1::State&)>& holds);
  // Waits until the only service is so.
  bool AwaitService(const std::function<bool(const v1::ServiceStatus&)>& holds);
  bool AwaitBirth(const std::function<bool(const v1::Birth&)>& holds);
  std::optional<v1::CommandResult> AwaitResult(const std::string& id);
  bool AwaitEvents(std::size_t count);
  // Every frame from the first to the last that came is there, once.
  void ExpectNoFrameMissing() const;
  v1::State state() const;
  std::vector<v1::Event> events() const;
  std::uint64_t doubled() const;

 private:
  void OnMessage(const MqttMessage& message);
  void StartRegistry();
  template <typename Holds>
  bool Await(Holds holds);

  TestFleet* fleet_;
  BrokerOptions broker_options_;
  int broker_port_ = 0;
  int registry_port_ = 0;
  std::unique_ptr<ContentStore> store_;
  std::unique_ptr<OciServer> oci_;
  std::unique_ptr<HttpServer> http_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Inbox> inbox_;
  std::string desired_;  // published again with every connection
  std::uint64_t generation_ = 0;
  int commands_ = 0;
  v1::Birth birth_;
  v1::State state_;
  std::map<std::string, v1::CommandResult> results_;
  std::map<std::string, v1::Event> events_;
  std::uint64_t doubled_ = 0;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<MqttClient> client_;  // last: it ends first
};

// The identity of a device that has joined the site, as the agent finds it in its state folder.
void WriteIdentity(const std::string& state, TestFleet* fleet, const FakeSite& site);

// The process, and everything that it started.
class AgentProcess {
 public:
  AgentProcess(std::string state, std::string log)
      : state_(std::move(state)), log_(std::move(log)) {}
  ~AgentProcess();  // kills it and what it left

  void Start(const std::vector<std::string>& more = {},
             const std::vector<std::string>& environment = {});
  void Kill();                     // SIGKILL
  std::optional<int> Terminate();  // SIGTERM; its exit code
  std::optional<int> Wait();       // for its end
  pid_t pid() const { return child_ ? child_->pid() : -1; }
  std::string Log() const;
  std::string state() const { return state_; }
  // Processes that belong to this device's services, by what is in their environment.
  std::set<pid_t> Services() const;

 private:
  const std::string state_;
  const std::string log_;
  std::optional<ChildProcess> child_;
};

}  // namespace selvedge
