#pragma once

// ServiceHost: starts, stops and finds again the processes of microservices.
//
// Owned by the agent's loop, one thread. What it starts it writes down first
// (SERVICES/KEY/process.json and spec.pb), so that an agent that was killed finds its processes
// again and starts none twice. Failure: as each function says; nothing half done is left.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "device/agent/agent_options.h"
#include "device/agent/container.h"
#include "device/agent/process.h"
#include "device/agent/service.h"
#include "proto/fleet.pb.h"

namespace selvedge {

class ServiceHost {
 public:
  struct Context {
    AgentOptions options;
    std::string device;
    std::string socket;  // of the links
    std::vector<std::string> allow_volumes;
    // Where the content of a spec is unpacked.
    std::function<std::string(const v1::ServiceSpec&)> folder_of;
  };

  explicit ServiceHost(Context context) : context_(std::move(context)) {}

  // Whether containers can run; before, they wait. `why_not` where there is no runtime. After
  // Adopt: containers of an earlier life that nobody watches are ended.
  void SetRuntime(std::optional<ContainerRuntime> runtime, std::string why_not);

  // Processes of an earlier life that still run; what has ended meanwhile is cleared away.
  std::vector<v1::ServiceSpec> Adopt();

  // Unavailable: not now, and nobody's fault (a busy port). FailedPrecondition, InvalidArgument:
  // never, before something changes. Anything else: try again.
  Status Start(const v1::ServiceSpec& spec);
  // SIGTERM now, SIGKILL after ten seconds.
  void Stop(const ServiceKey& key, Nanos now);

  struct Ended {
    ServiceKey key;
    std::string how;
  };
  // Processes that have ended, and kills those whose time is up. Call when a descriptor is readable
  // and at NextTime.
  std::vector<Ended> Reap(Nanos now);
  std::optional<Nanos> NextTime() const;
  std::vector<int> Descriptors() const;
  // Removes what belongs to a service that is gone for good.
  void Forget(const ServiceKey& key);

  // Keeps logs within their limit.
  void TrimLogs();
  std::string LogOf(const ServiceKey& key) const;

 private:
  struct Running {
    ServiceProcess process;
    std::optional<Nanos> kill_at;
    bool container = false;
    v1::ServiceSpec spec;
  };

  std::string FolderOf(const ServiceKey& key) const;
  void RemoveStrayContainers();
  Status CheckPorts(const v1::ServiceSpec& spec) const;
  Status MakeVolumes(v1::ServiceSpec* spec) const;
  Status CheckRuntime(const v1::ServiceSpec& spec) const;
  Result<LaunchSpec> Prepare(const v1::ServiceSpec& spec);
  Result<LaunchSpec> PrepareContainerLaunch(const v1::ServiceSpec& spec,
                                            const std::string& config_file);
  Status Record(const ServiceKey& key, const ProcessIdentity& identity) const;

  const Context context_;
  bool runtime_known_ = false;
  std::optional<ContainerRuntime> runtime_;
  std::string why_no_runtime_;
  std::map<ServiceKey, Running> running_;
};

}  // namespace selvedge
