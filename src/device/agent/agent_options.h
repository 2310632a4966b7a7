#pragma once

// What an agent is told: on the command line, or in agent.yaml (docs/formats/agent.md).

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace selvedge {

enum class ContainerNetwork {
  kIsolated,  // a network of its own: it reaches nobody, and nobody reaches it
  kHost,      // the device's
};

struct AgentOptions {
  std::string name;   // of the device; empty: made of the host's name
  std::string token;  // to join with; empty where it has joined
  std::string state = "/var/lib/selvedge-agent";
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> cameras;  // names to URIs; URIs may hold passwords
  std::string default_camera;                  // the first that was named
  std::vector<std::string> allow_volumes;      // empty: /var/edge-models; its own state always
  ContainerNetwork container_network = ContainerNetwork::kHost;
  std::int64_t outbox_bytes = std::int64_t{256} << 20;
  std::int64_t log_bytes = std::int64_t{4} << 20;          // kept of each service's output
  std::int64_t keep_free_bytes = std::int64_t{256} << 20;  // of the disk, whatever is downloaded
  Nanos metrics_interval = 5 * kSecond;  // between states that differ in numbers only
  std::string broker;       // in place of what joining said: "mqtts://HOST:PORT", as for a tunnel
  std::string proxy;        // for every connection; empty: as the environment says
  std::string run_program;  // selvedge-run; empty: beside the agent
};

// Adds what the file says to *options. Errors name file, line and key.
Status ReadAgentFile(const std::string& path, AgentOptions* options);

// "NAME=VALUE" into a map. InvalidArgument, naming `option`, for anything else.
Status AddPair(std::string_view option, const std::string& text,
               std::map<std::string, std::string>* map);
// The same for a camera; the first becomes the default.
Status AddCamera(const std::string& text, AgentOptions* options);

// Whether everything fits together: names, labels, cameras, folders.
Status CheckAgentOptions(const AgentOptions& options);

// A node's name out of a host's: "Cam_07.plant.local" becomes "cam-07". "device" where nothing is
// left.
std::string NodeNameOf(std::string_view host_name);

}  // namespace selvedge
