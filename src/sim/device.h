#pragma once

// SimDevice: a device of the simulated fleet: the agent's real Reconciler, Outbox and sender
// around processes, downloads and a disk that are made up.
//
// The agent's memory goes with every crash; its disk stays (the newest desired document, what was
// downloaded, the outbox), and so do its processes where only the agent was killed. What must never
// happen (over capacity, a refused service that runs) is found at once and told to `violation`. One
// thread; failure of the store is a violation, too.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "device/agent/reconcile.h"
#include "device/agent/spec_check.h"
#include "device/agent/state_report.h"
#include "proto/fleet.pb.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "store/batch_sender.h"
#include "store/database.h"
#include "store/outbox.h"

namespace selvedge {

// What is wrong, and with which node.
using SimViolation = std::function<void(const std::string& node, const std::string& what)>;

struct SimDeviceOptions {
  std::string name;
  std::string site;
  v1::Facts facts;
  std::map<std::string, std::string> labels;
  DeviceLimits limits;
  std::string outbox_file;             // empty: it makes no events
  std::uint64_t outbox_records = 0;    // its cap; 0: the outbox's own
  Nanos state_interval = 5 * kSecond;  // between two states of which only numbers differ
  Nanos clock_error = 0;               // its wall clock less the true time
};

class SimDevice {
 public:
  SimDevice(SimLoop* loop, SimBroker* broker, const LinkQuality* quality, SimDeviceOptions options,
            SimViolation violation);
  SimDevice(const SimDevice&) = delete;
  SimDevice& operator=(const SimDevice&) = delete;

  // The agent starts: at power on, or after Crash.
  void Start();
  // `reboot`: its processes end as well.
  void Crash(bool reboot);
  // Another disk, so another outbox; while it is off.
  void Wipe();
  void SetLabels(std::map<std::string, std::string> labels);
  // Asked before anything is run: whether that was ever placed on this device.
  void SetPlaced(std::function<bool(const v1::ServiceSpec&)> placed) {
    placed_ = std::move(placed);
  }
  // Whether downloads, starts and processes may fail.
  void SetTroubled(bool troubled) { troubled_ = troubled; }

  const SimDeviceOptions& options() const { return options_; }
  // As it was with the labels of earlier lives: a document may have been made for those.
  const std::vector<SimDeviceOptions>& before() const { return before_; }
  bool running() const { return running_; }
  SimClient& client() { return client_; }
  std::uint64_t generation() const { return disk_.desired.generation(); }
  const v1::Desired& desired() const { return disk_.desired; }
  struct Process {
    v1::ServiceSpec spec;
    std::uint64_t id = 0;
    bool ending = false;
  };
  const std::map<ServiceKey, Process>& processes() const { return processes_; }
  std::vector<v1::ServiceStatus> Report();

  // Events that its outboxes took, ever, by id.
  const std::vector<std::string>& accepted() const { return accepted_; }
  std::uint64_t dropped() const;  // over the cap of the present outbox
  std::uint64_t waiting() const;

 private:
  struct Disk {
    v1::Desired desired;
    std::set<std::string> contents;
    std::unique_ptr<Database> database;
  };

  void OpenOutbox();
  void OnMessage(const SimMessage& message);
  void OnDesired(const v1::Desired& desired);
  void SendBirth();
  v1::Birth Birth(bool online) const;
  void Work();
  void Act(const Action& action);
  void Fetch(const v1::ServiceSpec& spec);
  void StartService(const v1::ServiceSpec& spec);
  void StopService(const ServiceKey& key);
  void EndProcess(const ServiceKey& key, std::uint64_t id, const std::string& how);
  void CheckStart(const v1::ServiceSpec& spec);
  void CheckCapacity();
  Nanos Wall() const { return loop_.clock().Wall() + options_.clock_error; }
  void MaybeSendState();
  void Pulse();
  void MakeEvents();
  void Pump();
  void Mine(Nanos delay, std::function<void()> what);  // forgotten with this life
  void Check(const Status& status, std::string_view what);

  SimLoop& loop_;
  SimDeviceOptions options_;
  SimViolation violation_;
  std::function<bool(const v1::ServiceSpec&)> placed_;
  std::vector<SimDeviceOptions> before_;
  SimClient client_;

  Disk disk_;
  std::map<ServiceKey, Process> processes_;
  std::uint64_t next_process_ = 1;
  int disks_ = 0;
  bool troubled_ = true;

  bool running_ = false;
  std::uint64_t life_ = 0;
  std::string boot_id_;
  std::optional<Reconciler> reconciler_;
  std::unique_ptr<Outbox> outbox_;
  std::optional<OutboxSender> sender_;
  std::uint64_t sequence_ = 0;
  std::optional<StatePacer> pacer_;
  Nanos wake_at_ = 0;  // planned

  std::vector<std::string> accepted_;
};

// What the processes take of a device, and which of its ports. Empty where all of it fits.
std::string OverCapacity(const v1::Facts& facts, const std::vector<const v1::ServiceSpec*>& specs);

}  // namespace selvedge
