#pragma once

// SimCloud: the real ControlPlane with its tables on disk, its broker, and a registry that is made
// up.
//
// Killed at any instant: what was committed is what the next one finds. It can be restored from an
// older copy of its databases, as after a disk was lost. One thread; failure of the store is a
// violation.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/api/control_plane.h"
#include "sim/device.h"
#include "sim/loop.h"
#include "sim/network.h"

namespace selvedge {

// Models of which every tag is there but "missing". "latest" stands for something else after every
// Push.
class SimRegistry : public Packages {
 public:
  void Push() { ++revision_; }
  Result<std::vector<PackageInfo>> List() override { return std::vector<PackageInfo>(); }
  std::size_t Count() override { return 0; }
  Result<PackageInfo> Find(std::string_view name) override;
  Result<std::string> Resolve(std::string_view name, std::string_view reference) override;
  std::uint64_t Traffic() override { return 0; }

 private:
  std::uint64_t revision_ = 1;
};

class SimCloud {
 public:
  SimCloud(SimLoop* loop, std::string folder, SimViolation violation);

  void Start();
  void Kill();
  bool running() const { return plane_ != nullptr; }
  // Remembers what is on its disk now; puts that back, while it does not run.
  void Backup();
  void RestoreBackup();

  // `key`: a private key in PEM, the node's.
  Status Join(const std::string& key, const std::string& name, const std::string& site,
              const std::string& role);
  ControlPlane& plane() { return *plane_; }
  SimBroker& broker() { return broker_; }
  SimRegistry& registry() { return registry_; }

  // Whether the MQTT client's queue takes nothing now and then.
  void SetTroubled(bool troubled) { troubled_ = troubled; }
  // The ids of all events that it has, in the order of their arrival.
  std::vector<std::string> EventIds();
  // By device: how many events the aggregates of its gateway counted.
  std::map<std::string, std::uint64_t> AggregatedEvents();

 private:
  void CopyDisk(const std::string& from, const std::string& to);
  void Tick();
  void Check(const Status& status, std::string_view what);

  SimLoop& loop_;
  std::string folder_;
  SimViolation violation_;
  SimBroker broker_;
  SimRegistry registry_;
  CertificateAuthority authority_;
  std::unique_ptr<ControlPlane> plane_;
  std::uint64_t life_ = 0;
  bool troubled_ = true;
};

}  // namespace selvedge
