#pragma once

// SimOperator: who orders what a simulated fleet is to run: applies, changes and deletes
// applications, some of them wrong, and remembers what must be true in the end.
//
// One thread. A refused order that has an effect is a violation.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cloud/fleet/node.h"
#include "orchestrate/application.h"
#include "sim/cloud.h"
#include "sim/device.h"
#include "sim/loop.h"

namespace selvedge {

class SimOperator {
 public:
  using Applications = std::map<std::string, ApplicationRecord>;

  SimOperator(SimLoop* loop, SimCloud* cloud, SimViolation violation)
      : loop_(*loop), cloud_(*cloud), violation_(std::move(violation)) {}

  // One order, whatever comes to mind; the cloud runs.
  void Order();
  // What the fleet is to run.
  const Applications& applications() const { return applications_; }
  // Whether any order, however old, lets the device run this.
  bool EverPlaced(const v1::ServiceSpec& spec, const SimDevice& device) const;
  // The control plane was backed up; or its backup was put back, so that later orders are gone.
  void Backup() { backup_ = applications_; }
  void RestoreBackup() { applications_ = backup_; }

  int orders() const { return orders_; }
  int refused() const { return refused_; }

  // Labels as a person would give them to a device.
  std::map<std::string, std::string> AnyLabels();

 private:
  Application AnyApplication(const std::string& name);
  Microservice AnyService(const std::string& name, bool refusable, std::vector<int>* ports);
  Image AnyImage();
  Constraint AnyConstraint();
  void Apply();
  void ApplyWrong();
  void Delete();
  void Accept(const std::vector<ApplicationRecord>& records);

  SimLoop& loop_;
  SimCloud& cloud_;
  SimViolation violation_;
  Applications applications_;
  Applications backup_;
  std::multimap<std::string, ApplicationRecord> ever_;
  int orders_ = 0;
  int refused_ = 0;
};

// "app-3" and so on; of a refusable one every device says no: its volume is not allowed.
bool IsRefusable(std::string_view application);
// Whether the device may run it at all, by the operator's constraints and its image: told apart
// from placement's own code, so that a fault there shows.
bool MayRun(const Application& application, const SimDeviceOptions& device);

}  // namespace selvedge
