#pragma once

// FleetSim: a whole fleet in one thread, from one seed: N devices behind gateways, one control
// plane, an operator, and a network that loses, doubles, delays and reorders; agents, gateways,
// brokers and the control plane are killed, machines reboot, a backup is put back. After the
// trouble comes peace, and in it everything must come to rest where placement says, with every
// event counted once.
//
// What runs here is the code of the product: ControlPlane with Fleet, tables and placement;
// SiteStore and NodeRelay of the gateway; Reconciler, Outbox and Inbox. Processes, downloads,
// sockets and time are made up. One thread; needs a folder for the databases. Run tells in one text
// what went wrong, with the seed and the last steps.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sim/cloud.h"
#include "sim/device.h"
#include "sim/gateway.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "sim/operator.h"

namespace selvedge {

struct FleetSimOptions {
  std::uint64_t seed = 1;
  std::string folder;  // for databases; empty of them at the start
  std::string trace;   // a node whose every step goes to stderr; "*": all
  int devices = 50;
  int devices_per_site = 12;           // behind one gateway
  int direct_devices = 3;              // on the cloud's broker
  int event_devices = 20;              // that have an outbox; every fifth of them a small one
  Nanos trouble = 240 * kSecond;       // how long it lasts
  Nanos peace = 900 * kSecond;         // how long it may take afterwards
  Nanos state_interval = 5 * kSecond;  // between two states of which only numbers differ
  Nanos order_every = 6 * kSecond;
  int restores = 1;               // backups that are put back
  double crash_rate = 1.0 / 150;  // of each node, a second
  double cut_rate = 1.0 / 150;    // of each link
  LinkQuality quality = {.loss = 0.02,
                         .doubling = 0.03,
                         .reordering = 0.03,
                         .delay_min = 2 * kMillisecond,
                         .delay_max = 400 * kMillisecond,
                         .late = 40 * kSecond};
};

struct FleetSimReport {
  std::uint64_t steps = 0;
  std::uint64_t fingerprint = 0;
  int orders = 0;   // that were carried out
  int refused = 0;  // orders that were refused
  int crashes = 0;
  int services = 0;          // that run in the end
  std::uint64_t events = 0;  // accepted by outboxes
  std::uint64_t arrived = 0;
  std::uint64_t dropped = 0;  // over declared caps
  Nanos converged = -1;       // after the trouble; never where negative
};

class FleetSim {
 public:
  explicit FleetSim(FleetSimOptions options);
  FleetSim(const FleetSim&) = delete;
  FleetSim& operator=(const FleetSim&) = delete;

  // Once. Empty where all was well; else what was not, the seed, and the last steps.
  std::string Run();
  const FleetSimReport& report() const { return report_; }

 private:
  struct Wrong {
    std::string node;
    std::string what;
  };

  // ---- fleet_sim.cc ----
  void Build();
  void AddGateway(int number);
  void AddDevice(int number, const std::string& site, SimBroker* broker, const LinkQuality* link);
  void JoinAll();
  void Trouble();  // once a second
  void TroubleCloud();
  void TroubleGateways();
  void TroubleDevices();
  void CrashDevice(SimDevice* device);
  void DeleteDevice(SimDevice* device);
  void Join(SimDevice* device);
  void RestoreCloud();
  void Peace();
  std::string Report(const Wrong& wrong) const;

  // ---- fleet_sim_checks.cc ----
  std::optional<Wrong> Unsettled();
  std::optional<Wrong> CheckDevice(SimDevice* device);
  std::optional<Wrong> CheckDesired(const SimDevice& device, const Node& node);
  std::optional<Wrong> CheckProcesses(SimDevice* device);
  std::optional<Wrong> CheckGateways();
  std::optional<Wrong> CheckEvents();
  std::optional<Wrong> CheckAggregates();

  const FleetSimOptions options_;
  SimLoop loop_;
  LinkQuality site_link_;
  LinkQuality uplink_;
  std::optional<Wrong> wrong_;  // the first
  SimViolation violation_;
  SimCloud cloud_;
  SimOperator operator_;
  std::string key_;  // of every node: making one for each would prove nothing more
  std::vector<std::unique_ptr<SimGateway>> gateways_;
  std::vector<std::unique_ptr<SimDevice>> devices_;
  std::set<std::string> away_;          // deleted, not joined again yet
  std::set<std::string> ever_deleted_;  // their windows in the gateway went with them
  // Events that may be missing: they were in the cloud when its disk was lost, or on their way when
  // their device was deleted from the fleet.
  std::set<std::string> excused_;
  int restores_left_ = 0;
  Nanos backup_at_ = 0;  // 0: there is none
  bool at_peace_ = false;
  FleetSimReport report_;
};

}  // namespace selvedge
