#pragma once

// The embedded registry as the control plane sees it, and who may use it.
//
// Any thread; calls wait for the disk. Outlived by store and server.

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cloud/api/control_plane.h"
#include "cloud/api/packages.h"
#include "registry/content_store.h"
#include "registry/oci_server.h"

namespace selvedge {

class RegistryPackages : public Packages {
 public:
  explicit RegistryPackages(ContentStore* store) : store_(store) {}
  // Once there is one; for Traffic.
  void SetServer(const OciServer* server) { server_ = server; }

  Result<std::vector<PackageInfo>> List() override;
  std::size_t Count() override;
  Result<PackageInfo> Find(std::string_view name) override;
  Result<std::string> Resolve(std::string_view name, std::string_view reference) override;
  std::uint64_t Traffic() override;

 private:
  std::vector<std::string> Variants(std::string_view name, const std::string& digest);

  ContentStore* store_;
  std::atomic<const OciServer*> server_{nullptr};
  std::mutex mutex_;
  std::size_t count_ = 0;
  Nanos counted_ = -1;  // monotonic
  // Manifests never change: what was read of one stays right. By digest; emptied when it grows.
  std::map<std::string, std::vector<std::string>> variants_;
};

// Members of the fleet pull with their certificate; people with their token: a viewer pulls, an
// operator pushes, an admin deletes.
Status AuthorizeRegistry(ControlPlane& plane, const OciCaller& caller, OciAction action);

}  // namespace selvedge
