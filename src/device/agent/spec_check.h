#pragma once

// Whether a device can run what it is asked to, and why not. Pure; thread-safe.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "device/agent/agent_options.h"
#include "proto/fleet.pb.h"

namespace selvedge {

// What of the device matters for that.
struct DeviceLimits {
  bool containers = false;        // an OCI runtime is there, or may be
  std::string why_no_containers;  // a sentence, where there is none
  ContainerNetwork container_network = ContainerNetwork::kHost;
  std::vector<std::string> cameras;        // names
  std::vector<std::string> allow_volumes;  // folders, absolute
};

// What a document may hold at most; a larger one is refused as a whole.
inline constexpr int kMaxServices = 256;

// One sentence for people; FailedPrecondition or InvalidArgument.
Status CheckSpec(const v1::ServiceSpec& spec, const DeviceLimits& device);
// The same, and what only shows beside the other services: a port that is taken.
Status CheckSpecAmong(const v1::ServiceSpec& spec, const v1::Desired& desired,
                      const DeviceLimits& device);

// Whether an absolute path without "." and ".." lies in one of the folders, or is one.
bool LiesIn(std::string_view path, std::span<const std::string> folders);
// "camera" of the manifest's config; empty where it says none.
std::string CameraOf(const v1::ServiceSpec& spec);
// Names of environment variables that a manifest may set: not the loader's, nor ours.
bool IsFreeVariable(std::string_view name);

}  // namespace selvedge
