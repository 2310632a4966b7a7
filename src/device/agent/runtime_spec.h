#pragma once

// The config.json of a bundle (OCI runtime specification 1.0): how a microservice's container is
// started, and what it may do. docs/decisions/containers.md says why it is as it is. Pure;
// thread-safe. Failure: FailedPrecondition where image and manifest do not say what is needed.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "device/agent/agent_options.h"
#include "device/agent/oci_image.h"
#include "proto/fleet.pb.h"

namespace selvedge {

// Where a container finds the manifest's config: SELVEDGE_CONFIG_FILE.
inline constexpr std::string_view kConfigInContainer = "/run/selvedge/config.json";

// A node below /dev that a container gets.
struct DeviceNode {
  std::string path;
  bool block = false;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t mode = 0660;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

struct RuntimeSpecOptions {
  std::string id;    // of the container; names its cgroup, too
  std::string root;  // the unpacked image, absolute
  ContainerUser user;
  std::map<std::string, std::string> variables;  // that the manifest and the device add
  std::string config_file;                       // on the device; empty: none
  std::vector<std::string> host_files;           // of the device, shown read-only under their paths
  std::vector<DeviceNode> devices;
  ContainerNetwork network = ContainerNetwork::kHost;
  bool seccomp = true;                                  // the runtime can do it
  bool limit_swap = false;                              // the kernel counts it
  std::int64_t pids = 1024;                             // processes and threads at most
  std::uint64_t tmpfs_bytes = std::uint64_t{64} << 20;  // of each folder in memory
};

// `spec.volumes` are mounted from the host paths that they name, which the caller has resolved and
// allowed.
Result<std::string> WriteRuntimeSpec(const v1::ServiceSpec& spec, const ImageConfig& image,
                                     const RuntimeSpecOptions& options);

// An absolute path without "." and "..", that is not the root and not where the runtime has its own
// (/proc, /sys, /dev, /run/selvedge).
bool IsMountPoint(std::string_view path);

}  // namespace selvedge
