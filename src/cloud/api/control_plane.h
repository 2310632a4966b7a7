#pragma once

// ControlPlane: the fleet with its tables, its events and its watchers: what MQTT messages and API
// calls meet in.
//
// Owned by whoever wires the process together (cmd/cloud). Thread-safe: messages come on the MQTT
// client's thread, calls on HTTP workers, Tick on a timer's. Nothing waits for the network: what is
// published goes into the MQTT client's queue, and what it does not take is tried again.
//
// Orders (join, apply, delete) are on disk before they take effect; a full disk refuses them with a
// clear error, keeps everything that is there, and is shown as trouble until it is over.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "cloud/api/packages.h"
#include "cloud/api/rates.h"
#include "cloud/api/stream_hub.h"
#include "cloud/events/event_tables.h"
#include "cloud/fleet/fleet.h"
#include "cloud/fleet/fleet_tables.h"
#include "cloud/fleet/joining.h"
#include "net/mqtt/broker_acl.h"

namespace selvedge {

struct ControlPlaneOptions {
  std::string folder;  // of fleet.db and events.db
  CertificateAuthority authority;
  std::vector<std::string> own_hosts;  // that no gateway may have a certificate for
  EventTablesOptions events;
  FleetOptions fleet;
  std::string version;
};

// Where nodes reach us; known once everything is bound.
struct PublicAddresses {
  std::string api;                // "https://HOST:PORT"
  std::vector<std::string> mqtt;  // "mqtts://HOST:PORT"
  std::string registry;           // "https://HOST:PORT"
};

// What the process does for it. Every function is called with a lock held and must not call back.
struct ControlPlaneOutputs {
  // Queues one MQTT message. An error: not taken, it will be tried again.
  std::function<Status(const std::string& topic, std::string payload, int qos, bool retain)>
      publish;
  // Who may use the broker: these, from now on.
  std::function<void(const std::vector<CloudBrokerNode>& members)> members_changed;
  // Bytes that came from and went to the nodes, as IP carries them, since the start.
  std::function<std::pair<std::uint64_t, std::uint64_t>()> traffic;
};

// One sentence for a person, and where to look.
struct TroubleLine {
  bool error = false;  // else a warning
  std::string what;
  std::string href;  // of the dashboard: "#/devices/pi-1"
};

class ControlPlane {
 public:
  // `clock` and `packages` must outlive it; `packages` may be null where there is no registry.
  static Result<std::unique_ptr<ControlPlane>> Open(ControlPlaneOptions options, Packages* packages,
                                                    const Clock& clock);
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  void SetOutputs(ControlPlaneOutputs outputs);
  std::vector<CloudBrokerNode> Members() const;
  void SetAddresses(PublicAddresses addresses);
  PublicAddresses addresses() const;
  const std::string& version() const { return options_.version; }

  // ---- the broker ----
  void OnConnected();  // everything that is desired is published anew
  void OnDisconnected(const Status& reason);
  void OnMessage(std::string_view topic, std::string_view payload, bool retained);

  // About five times a second: watchers are told what changed, statuses age, disks are tried again.
  void Tick();

  // ---- orders; each an error in one sentence where it was not done ----
  Result<JoinAnswer> Join(const JoinRequest& request);
  struct Applied {
    bool applied = false;
    std::vector<ApplicationRecord> records;
    std::vector<ApplicationPlacement> placements;  // of these
  };
  Result<Applied> Apply(std::string_view manifest, const std::string& name, bool dry_run);
  Status DeleteApplication(const std::string& name);
  Status DeleteNode(const std::string& name);

  // Answers when the node did, or after `timeout` with DeadlineExceeded; on any thread.
  using CommandDone = std::function<void(Result<v1::CommandResult>)>;
  void Command(const std::string& node, v1::Command command, Nanos timeout, CommandDone done);

  // ---- what is known ----
  // With the lock held: keep it short.
  template <typename F>
  auto Read(F&& read) const {
    const std::lock_guard lock(mutex_);
    return read(fleet_);
  }
  struct Numbers {
    double events_per_s = 0;
    double detections_per_s = 0;  // in the events
    double uplink_bytes_per_s = 0;
    double downlink_bytes_per_s = 0;
    double registry_bytes_per_s = 0;
    double event_p50_ms = 0;  // capture to here, of those that came at once
    double event_p99_ms = 0;
    EventCounters totals;
    std::uint64_t registry_bytes = 0;
    std::uint64_t foreign_messages = 0;
    std::uint64_t bad_messages = 0;
    bool broker_connected = false;
    std::string disk_trouble;  // empty: well
    std::size_t watchers = 0;
    std::int64_t events_file_bytes = 0;
  };
  Numbers ReadNumbers();
  // OK where it can do its work: connected to its broker, and able to write.
  Status Ready() const;

  EventTables& events() { return *events_; }
  FleetTables& tables() { return *tables_; }
  Joining& joining() { return *joining_; }
  Packages* packages() { return packages_; }
  StreamHub& hub() { return hub_; }

 private:
  ControlPlane(ControlPlaneOptions options, Packages* packages, const Clock& clock);
  Status Load();

  void Execute(FleetChange change);
  void PublishDesired(const std::set<std::string>& nodes);
  void PublishOne(const Node& node);
  void ClearRetained(const std::string& site, const std::string& name);
  bool KeepDesired(const std::set<std::string>& nodes);
  void OnEvents(const std::string& site, const std::string& node, std::string_view payload);
  void OnResult(v1::CommandResult result, std::string_view node);
  void EverySecond(Nanos now);
  void TellWatchers();
  void TellEvents(const std::vector<StoredEvent>& events);
  void SaveHeard();
  void ExpireCommands();
  void NoteDisk(const Status& status);
  void MembersChanged();
  Status ResolveImages(ApplicationRecord* record) const;
  void CountMessage(std::uint64_t* counter, std::string_view what, std::string_view node);

  const ControlPlaneOptions options_;
  Packages* const packages_;
  const Clock& clock_;
  std::unique_ptr<FleetTables> tables_;
  std::unique_ptr<EventTables> events_;
  std::unique_ptr<Joining> joining_;
  StreamHub hub_;
  std::mutex orders_;  // one order at a time; taken before mutex_

  mutable std::mutex mutex_;
  Fleet fleet_;
  ControlPlaneOutputs outputs_;
  PublicAddresses addresses_;
  bool connected_ = false;
  std::string disk_trouble_;
  std::set<std::string> unsaved_;      // documents that are on no disk yet, so not published
  std::set<std::string> unpublished_;  // documents that the queue did not take
  std::set<std::string> dirty_;        // births and states to be saved
  std::set<std::string> tell_nodes_;   // watchers are to be told
  std::set<std::string> tell_applications_;
  bool something_changed_ = false;
  Nanos overview_until_ = 0;
  Nanos next_second_ = 0;
  Nanos next_save_ = 0;
  Nanos next_tidy_ = 0;
  struct Pending {
    std::string node;
    Nanos deadline = 0;
    CommandDone done;
  };
  std::map<std::string, Pending> commands_;
  RateWindow event_rate_;
  RateWindow detection_rate_;
  ByteRate uplink_;
  ByteRate downlink_;
  ByteRate registry_;
  RecentLatencies event_latency_;
  std::uint64_t foreign_messages_ = 0;
  std::uint64_t bad_messages_ = 0;
  Nanos next_foreign_log_ = 0;
};

}  // namespace selvedge
