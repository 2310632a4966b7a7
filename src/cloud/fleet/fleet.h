#pragma once

// Fleet: who is there, what they are to run, and who has to be told (docs/formats/fleet.md,
// "Desired and reported"). The pure core of the control plane: state, a message or an order, and
// the Clock in; what changed out. No I/O, no threads, no randomness, so that `sim` drives a
// thousand devices with it.
//
// Owned by the control plane, under its lock; thread-compatible. What an operator orders is kept in
// the tables (fleet_tables.h) before it is told to the Fleet; what a message changes is kept after.
//
// Level-triggered: for each node one document is computed from all applications, labels and facts,
// after every change that could matter; where it differs from the last, its generation rises and
// the node is among `desired`. Publishing it again does no harm.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "cloud/fleet/node.h"
#include "cloud/fleet/series.h"
#include "orchestrate/placement.h"

namespace selvedge {

// What an input changed. Names, so that doubled entries fall together.
struct FleetChange {
  std::set<std::string> desired;       // these nodes' documents: save, then publish
  std::set<std::string> nodes;         // what is shown of these changed
  std::set<std::string> applications;  // and of these
  std::set<std::string> dirty;         // last birth or state are to be saved, soon

  void Merge(FleetChange other);
  bool empty() const {
    return desired.empty() && nodes.empty() && applications.empty() && dirty.empty();
  }
};

struct FleetOptions {
  Nanos stale_after = 90 * kSecond;
  std::string registry_url;  // that devices download from
  v1::GatewayPolicy gateway_policy;
};

class Fleet {
 public:
  // `clock` must outlive it.
  Fleet(FleetOptions options, const Clock& clock);

  // At the start, before anything else: what the tables hold. Documents stay as they were until
  // SetRegistry, which belongs after it: an address that is not known yet is no change.
  FleetChange Restore(std::vector<NodeRecord> nodes, std::vector<ApplicationRecord> applications);

  // ---- orders, which the tables hold already ----
  FleetChange AddNode(NodeRecord record);  // or replaces: it joined again
  FleetChange RemoveNode(const std::string& name);
  FleetChange PutApplications(std::vector<ApplicationRecord> records);
  FleetChange RemoveApplication(const std::string& name);
  FleetChange SetRegistry(std::string url);

  // ---- messages. False in *ours where the node is no member of that site ----
  FleetChange OnBirth(std::string_view site, std::string_view name, v1::Birth birth, bool* ours);
  // `retained`: kept by the broker from before, so that it says nothing about now.
  FleetChange OnState(std::string_view site, std::string_view name, v1::State state, bool retained,
                      bool* ours);
  // Time went by: who became stale. Call it about once a second.
  FleetChange Tick();

  // ---- what is known ----
  const std::map<std::string, Node, std::less<>>& nodes() const { return nodes_; }
  const Node* Find(std::string_view name) const;
  const std::map<std::string, ApplicationRecord, std::less<>>& applications() const {
    return applications_;
  }
  // The gateway of a site; null where it has none.
  const Node* GatewayOf(std::string_view site) const;
  const SeriesTable& series() const { return series_; }

  // Where everything runs, or would run with `more` in place of or beside what there is.
  std::vector<ApplicationPlacement> Placements(
      const std::vector<ApplicationRecord>& more = {}) const;

 private:
  Node* Mutable(std::string_view site, std::string_view name);
  std::vector<PlacementApplication> PlacementApplications() const;
  v1::Desired Compute(const Node& node) const;
  void AddServices(const Node& node, v1::Desired* desired) const;
  void AddMembers(const Node& gateway, v1::Desired* desired) const;
  std::uint64_t NextGeneration(const Node& node) const;
  void Recompute(Node* node, FleetChange* change);
  void MembersChanged(v1::Role role, const std::string& site, const std::string& name,
                      FleetChange* change);
  void RecomputeSite(std::string_view site, FleetChange* change);
  void RecomputeAll(FleetChange* change);
  void UpdateStatus(Node* node, FleetChange* change);
  void UpdateSiteStatus(std::string_view site, FleetChange* change);
  void Sample(const Node& node);
  void FollowStates(Node* node, bool same_boot, FleetChange* change);
  std::string RegistryFor(const Node& node) const;

  FleetOptions options_;
  const Clock& clock_;
  std::map<std::string, Node, std::less<>> nodes_;
  std::map<std::string, std::string, std::less<>> gateways_;  // by site
  std::map<std::string, ApplicationRecord, std::less<>> applications_;
  SeriesTable series_;
};

}  // namespace selvedge
