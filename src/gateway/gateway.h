#pragma once

// Gateway: what joins a site's devices to the cloud (docs/formats/fleet.md).
//
// It runs the site's broker and is a client of it and of the cloud's. Births, states and results go
// up, desired documents and commands down; events are taken into its own store, acknowledged after
// its commit, counted in windows, and sent on in one stream of its own. It is a node of the fleet
// itself, of role GATEWAY, with birth and state.
//
// Owned by the process that is the gateway. Threads: its own timer, the two MQTT clients' and the
// broker's; what they share is under one lock, which is never held while a network is waited for (a
// commit to disk may be). Failure: Start says what cannot work; after that everything is tried
// again, and `trouble` in its state says what is wrong. Nothing that was acknowledged is lost.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "gateway/node_relay.h"
#include "gateway/site_store.h"
#include "net/join_client.h"
#include "net/mqtt/broker.h"
#include "proto/fleet.pb.h"

namespace selvedge {

struct GatewayOptions {
  NodeIdentity identity;
  std::string state_folder;               // absolute; made where it is not there
  std::vector<BrokerListener> listeners;  // of the site's broker
  std::string mosquitto;                  // its executable; empty: found
  std::string proxy;                      // towards the cloud; http://HOST:PORT
  std::string version;
  std::vector<std::pair<std::string, std::string>> labels;
  SiteStoreOptions store;
  NodeRelayOptions relay;
  Nanos gather = 200 * kMillisecond;        // events wait so long for others on their way up
  Nanos ack_interval = 500 * kMillisecond;  // between two Acks to one device
  Nanos retry_max = 30 * kSecond;           // between attempts to reach the cloud's broker
};

class Gateway {
 public:
  // `registry` and `clock` must outlive it.
  static Result<std::unique_ptr<Gateway>> Start(GatewayOptions options, MetricsRegistry* registry,
                                                const Clock& clock = Clock::System());
  ~Gateway();  // Stop
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Of the site's broker.
  std::vector<int> broker_ports() const;
  // Empty where it serves its devices; else what is missing. The cloud may be away meanwhile.
  std::string NotReady() const;
  bool cloud_connected() const;
  // Whether the device is a member of the site.
  bool IsMember(std::string_view device, std::string_view certificate_sha256) const;
  // Brings gauges up to date, for who renders the metrics.
  void UpdateMetrics();

  // Says good-bye to both brokers, so that the cloud knows it was meant, and ends the site's.
  void Stop();

 private:
  explicit Gateway(std::unique_ptr<class GatewayCore> core);
  std::unique_ptr<class GatewayCore> core_;
};

}  // namespace selvedge
