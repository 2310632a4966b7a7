#include "device/agent/spec_check.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "core/topic.h"
#include "device/agent/service.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxConfig = std::size_t{64} * 1024;
constexpr int kMaxList = 64;
constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kMaxValue = 32 * 1024;

Status Wrong(const std::string& what) {
  return InvalidArgumentError("the desired document is wrong: " + what);
}

bool IsCleanPath(std::string_view path) {
  if (!path.starts_with('/') || path.size() > kMaxPath) return false;
  if (path.find('\0') != std::string_view::npos || path.find("//") != std::string_view::npos) {
    return false;
  }
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

Status CheckVolumes(const v1::ServiceSpec& spec, const DeviceLimits& device) {
  for (const v1::Volume& volume : spec.volumes()) {
    if (!IsCleanPath(volume.host()) || !IsCleanPath(volume.container()) ||
        volume.container() == "/") {
      return Wrong("a volume from " + QuoteForMessage(volume.host()) + " to " +
                   QuoteForMessage(volume.container()));
    }
    if (!LiesIn(volume.host(), device.allow_volumes)) {
      std::string allowed;
      for (const std::string& folder : device.allow_volumes) {
        allowed += (allowed.empty() ? "" : ", ") + folder;
      }
      return FailedPreconditionError("the volume " + volume.host() +
                                     " lies outside of what this device allows (" + allowed +
                                     "); start the agent with --allow-volume");
    }
  }
  return OkStatus();
}

Status CheckEnvironment(const v1::ServiceSpec& spec) {
  for (const auto& [name, value] : spec.env()) {
    if (!IsFreeVariable(name) || value.size() > kMaxValue ||
        value.find('\0') != std::string::npos) {
      return FailedPreconditionError("the environment variable " + QuoteForMessage(name) +
                                     " may not be set by a manifest");
    }
  }
  return OkStatus();
}

// A container shares the device's network or has none: its ports are bound as they are, or not at
// all.
Status CheckContainerPorts(const v1::ServiceSpec& spec, const DeviceLimits& device) {
  if (spec.kind() != v1::CONTAINER || spec.ports_size() == 0) return OkStatus();
  if (device.container_network == ContainerNetwork::kIsolated) {
    return FailedPreconditionError(
        "this device keeps containers off the network (container_network: isolated), so the ports "
        "of the manifest cannot be offered");
  }
  for (const v1::Port& port : spec.ports()) {
    if (port.external() == port.internal()) continue;
    return FailedPreconditionError("a container shares this device's network, so that port " +
                                   std::to_string(port.internal()) + " cannot be seen as " +
                                   std::to_string(port.external()) + "; give both the same number");
  }
  return OkStatus();
}

}  // namespace

bool LiesIn(std::string_view path, std::span<const std::string> folders) {
  return std::ranges::any_of(folders, [&](std::string_view folder) {
    while (folder.size() > 1 && folder.ends_with('/')) folder.remove_suffix(1);
    if (folder == "/") return true;
    return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
  });
}

bool IsFreeVariable(std::string_view name) {
  if (name.empty() || name.size() > 128 || (name[0] >= '0' && name[0] <= '9')) return false;
  const bool word = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  // What decides which code is loaded, and what is between agent and run.
  static constexpr std::string_view kOurs[] = {"PATH", "HOME", "IFS", "SHELL", "USER"};
  return word && !name.starts_with("LD_") && !name.starts_with("SELVEDGE_") &&
         !name.starts_with("GST_PLUGIN") && !name.starts_with("GLIBC_") &&
         std::ranges::find(kOurs, name) == std::end(kOurs);
}

std::string CameraOf(const v1::ServiceSpec& spec) {
  const auto config = nlohmann::json::parse(spec.config_json(), nullptr, false);
  if (!config.is_object()) return {};
  const auto camera = config.find("camera");
  return camera != config.end() && camera->is_string() ? camera->get<std::string>() : "";
}

Status CheckSpec(const v1::ServiceSpec& spec, const DeviceLimits& device) {
  if (!IsNodeName(spec.application()) || !IsNodeName(spec.name())) {
    return Wrong("a microservice is called " +
                 QuoteForMessage(spec.application() + "/" + spec.name()));
  }
  if (!IsDigest(spec.digest())) {
    return Wrong("its digest is " + QuoteForMessage(spec.digest()));
  }
  if (spec.ports_size() > kMaxList || spec.volumes_size() > kMaxList ||
      spec.env_size() > kMaxList) {
    return Wrong("more than 64 ports, volumes or variables");
  }
  if (spec.config_json().size() > kMaxConfig) return Wrong("config above 64 KiB");
  if (!spec.config_json().empty() &&
      !nlohmann::json::parse(spec.config_json(), nullptr, false).is_object()) {
    return Wrong("config is no JSON object");
  }
  for (const v1::Port& port : spec.ports()) {
    if (port.external() < 1 || port.external() > 65535 || port.internal() < 1 ||
        port.internal() > 65535) {
      return Wrong("a port that is none");
    }
  }
  SELVEDGE_RETURN_IF_ERROR(CheckEnvironment(spec));
  SELVEDGE_RETURN_IF_ERROR(CheckVolumes(spec, device));
  if (spec.kind() == v1::CONTAINER && !device.containers) {
    return FailedPreconditionError("this device cannot run containers: " +
                                   device.why_no_containers);
  }
  SELVEDGE_RETURN_IF_ERROR(CheckContainerPorts(spec, device));
  if (spec.kind() != v1::CONTAINER && spec.kind() != v1::PIPELINE) {
    return FailedPreconditionError(
        "this agent does not know what kind of microservice it is; it needs a newer version");
  }
  const std::string camera = CameraOf(spec);
  if (!camera.empty() && std::ranges::find(device.cameras, camera) == device.cameras.end()) {
    return FailedPreconditionError("this device has no camera called " + QuoteForMessage(camera));
  }
  return OkStatus();
}

Status CheckSpecAmong(const v1::ServiceSpec& spec, const v1::Desired& desired,
                      const DeviceLimits& device) {
  SELVEDGE_RETURN_IF_ERROR(CheckSpec(spec, device));
  for (const v1::ServiceSpec& other : desired.services()) {
    if (KeyOf(other) == KeyOf(spec)) break;  // those before it have the right of way
    for (const v1::Port& taken : other.ports()) {
      for (const v1::Port& port : spec.ports()) {
        if (port.external() != taken.external()) continue;
        return FailedPreconditionError("port " + std::to_string(port.external()) + " is taken by " +
                                       KeyOf(other).ToString());
      }
    }
  }
  return OkStatus();
}

}  // namespace selvedge
