#pragma once

// SimGateway: the gateway of a simulated site: its real SiteStore, NodeRelay and sender between two
// brokers (docs/formats/fleet.md, "Topics"), as gateway/gateway_core.cc joins them over sockets.
//
// Killed at any instant, with its broker; its store stays. One thread; failure of the store is a
// violation.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "gateway/node_relay.h"
#include "gateway/site_store.h"
#include "sim/device.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "store/batch_sender.h"

namespace selvedge {

class SimGateway {
 public:
  SimGateway(SimLoop* loop, SimBroker* cloud_broker, const LinkQuality* uplink, std::string name,
             std::string site, std::string store_file, SimViolation violation);
  SimGateway(const SimGateway&) = delete;
  SimGateway& operator=(const SimGateway&) = delete;

  void Start();
  void Crash();
  // The site's broker ends and begins anew, the gateway does not.
  void RestartBroker();

  const std::string& name() const { return name_; }
  const std::string& site() const { return site_; }
  bool running() const { return running_; }
  SimBroker& broker() { return broker_; }
  SimClient& uplink() { return uplink_; }
  std::uint64_t generation() const { return generation_; }
  std::uint64_t waiting() const;  // for the cloud

 private:
  void StartBroker();
  void OnSite(const SimMessage& message);
  void OnEvents(const SimMessage& message);
  void OnCloudConnected();
  void OnCloud(const SimMessage& message);
  void OnDesired(const SimMessage& message);
  void OnOwnDesired(const v1::Desired& desired);
  void ForgetDevices(const std::vector<std::string>& gone);
  void PublishUp(const NodeRelay::Messages& messages);
  void SendOwnState();
  v1::Birth OwnBirth(bool online) const;
  void Timer();
  void Check(const Status& status, std::string_view what);

  SimLoop& loop_;
  std::string name_;
  std::string site_;
  std::string store_file_;
  SimViolation violation_;
  SimBroker broker_;
  SimClient uplink_;

  bool running_ = false;
  std::uint64_t life_ = 0;
  std::string boot_id_;
  std::unique_ptr<SiteStore> store_;
  std::optional<NodeRelay> relay_;
  std::optional<OutboxSender> sender_;
  v1::GatewayPolicy policy_;
  std::uint64_t generation_ = 0;
  std::uint64_t state_sequence_ = 0;
  Nanos state_sent_ = 0;
};

}  // namespace selvedge
