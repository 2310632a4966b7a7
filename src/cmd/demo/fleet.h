#pragma once

// The demo's fleet: a control plane, a gateway and devices as processes of this machine, each with
// a state folder of its own, talking to one another as they would across a network.
//
// Owned by the demo; one thread. The destructor stops every process. Failure: the sentence names
// the process and the file with what it said.

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/child_process.h"
#include "base/status.h"
#include "cmd/demo/relay.h"
#include "net/http_client.h"

namespace selvedge::demo {

struct DeviceSpec {
  std::string name;
  std::vector<std::string> labels;  // "hardware=jetson"
  bool relayed = false;             // its link to the site can be cut
};

struct FleetOptions {
  std::string state;   // folder for everything; exists
  std::string root;    // folder with examples/ and assets/
  std::string source;  // what every device's camera shows; empty: they have none
  std::string http = "localhost:8080";
  std::string site = "plant-1";
};

class Fleet {
 public:
  explicit Fleet(FleetOptions options);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  Status StartCloud();
  Status StartGateway();
  // Launches and waits until it is online; Launch only, then AwaitOnline, for many at once.
  Status StartDevice(const DeviceSpec& device);
  Status LaunchDevice(const DeviceSpec& device);
  Status AwaitOnline(int devices);
  Status Push(const std::string& reference, const std::string& card, const std::string& pipeline);
  // Applies a manifest; the answer of the API.
  Result<nlohmann::json> Apply(const std::string& yaml);
  Status Delete(const std::string& application);

  // The link of a relayed device.
  Status CutLink(const std::string& device);
  Status RestoreLink(const std::string& device);

  // A call of the API, its URL below /api/v1.
  Result<nlohmann::json> Call(HttpCall call);
  // GET of the API, below /api/v1.
  Result<nlohmann::json> Get(const std::string& path);
  // OpenMetrics text of the gateway; empty where it has none.
  std::string GatewayMetrics();
  // A process that has ended unasked; what to tell.
  std::optional<std::string> Casualty();
  // SIGTERM to all, devices first, and waits.
  void Stop();

  // A one-time token for the site.
  Result<std::string> JoinToken(const std::string& role);
  // Of a process; -1 where there is none of that name ("cloud", "plant-1-gateway", a device).
  pid_t PidOf(const std::string& name) const;

  const std::string& url() const { return url_; }      // of the dashboard
  const std::string& token() const { return token_; }  // an administrator's
  const FleetOptions& options() const { return options_; }

 private:
  Result<std::string> JoinTokenFile(const std::string& name, const std::string& role);
  std::string Folder(const std::string& name) const { return options_.state + "/" + name; }
  Status Launch(const std::string& name, const std::string& executable,
                std::vector<std::string> arguments);
  // Waits until `ready` says so; an error where the process ends or a minute is over.
  template <typename Ready>
  Status Await(const std::string& name, Ready ready);
  std::string LastWords(const std::string& name) const;

  FleetOptions options_;
  HttpClient client_;
  std::string url_;
  std::string token_;
  std::vector<std::pair<std::string, ChildProcess>> children_;
  std::map<std::string, std::unique_ptr<Relay>> relays_;
  int broker_port_ = 0;  // the site's
  int metrics_port_ = 0;
};

}  // namespace selvedge::demo
