#pragma once

// Containers: from an image on the disk to a command line that runs it, and away again.
//
// An image is unpacked once into a folder that nothing writes to any more, so several services and
// starts may share it. A service's bundle is a small folder of its own. The container runs below
// `runc run` in the foreground, a process like any other: signals to it reach the container, its
// exit code is the container's. One that was killed leaves the container running; so
// DeleteContainer comes before every start and after every end. Free functions that wait for the
// disk or for runc; thread-safe for different folders and ids. Failure: one sentence each.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "device/agent/agent_options.h"
#include "device/agent/launch.h"
#include "device/agent/oci_image.h"
#include "device/agent/oci_layers.h"
#include "device/agent/runtime_spec.h"
#include "proto/fleet.pb.h"

namespace selvedge {

// An OCI runtime and what can be done with it on this kernel.
struct ContainerRuntime {
  std::string program;  // a path
  std::string version;  // "runc 1.1.5"
  bool seccomp = false;
  bool memory = false;  // limits
  bool cpu = false;
  bool pids = false;
  bool swap = false;  // is there, and can be limited
};
// `program`: a path, or empty for runc where PATH or the usual folders have it. `root`: of the
// machine, for tests. NotFound or FailedPrecondition say what to do.
Result<ContainerRuntime> FindContainerRuntime(const std::string& program = {},
                                              const std::string& root = {});
// Whether it can start a container here at all: starts one that sees this machine's programs and
// runs `true`. `state_folder` as below; `scratch` is made and removed.
Status TryContainerRuntime(const ContainerRuntime& runtime, const std::string& state_folder,
                           const std::string& scratch);

// ---- The image ----

// Into `folder`, which is made or replaced: rootfs and image.json (the config). It is there whole
// or not at all.
Result<UnpackedLayers> UnpackImage(const OciImage& image, const std::string& folder,
                                   const UnpackOptions& options = {});
// Whether `folder` is an unpacked image.
bool IsUnpackedImage(const std::string& folder);

// ---- The container ----

struct ContainerContext {
  ContainerRuntime runtime;
  std::string state_folder;  // of the runtime, best in memory (/run); made with mode 0700
  std::string device;        // this device's name
  std::string image_folder;  // unpacked
  std::string bundle;        // made or completed; its files are ours
  std::string config_file;   // the manifest's config, as for a pipeline; empty: none
  std::map<std::string, std::string> variables;  // ServiceVariables(spec, true)
  ContainerNetwork network = ContainerNetwork::kHost;
  std::vector<DeviceNode> devices;  // that the service gets
};

// "DEVICE.APPLICATION.NAME": no other agent on this machine has the same.
std::string ContainerId(std::string_view device, const v1::ServiceSpec& spec);

// Writes the bundle; returns how to start it. The host paths of spec.volumes are mounted as they
// are: resolved and allowed by the caller, made if they are to be.
Result<LaunchSpec> PrepareContainer(const v1::ServiceSpec& spec, const ContainerContext& context);

// Ends the container of that id with SIGKILL if it runs, and removes what the runtime knows of it
// and its cgroup. One that is not there is no error.
Status DeleteContainer(const ContainerRuntime& runtime, const std::string& state_folder,
                       const std::string& id);
// Ids of all containers that the runtime knows under `state_folder`.
Result<std::vector<std::string>> ListContainers(const ContainerRuntime& runtime,
                                                const std::string& state_folder);

// Nodes of accelerators below `root`/dev, for a service whose resources ask for them: NVIDIA's
// cards, Jetson's engines, render nodes; Coral on PCIe. At most 64.
std::vector<DeviceNode> AcceleratorNodes(const v1::Resources& resources,
                                         const std::string& root = {});

}  // namespace selvedge
