#pragma once

// A fleet of real processes on hosts of their own: `selvedge cloud`, one `gateway`, two `agent`s
// with `run` and the fake engine. The devices reach their gateway only. For tests; one thread.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/child_process.h"
#include "base/status.h"
#include "network.h"

namespace selvedge {

inline constexpr const char* kGatewayName = "gateway-1";
inline constexpr const char* kDeviceNames[] = {"pi-1", "pi-2"};

class TestHosts {
 public:
  TestHosts();
  ~TestHosts();
  TestHosts(const TestHosts&) = delete;
  TestHosts& operator=(const TestHosts&) = delete;

  // Hosts and network; then everything that runs there, online, on a network that is perfect.
  // `environment`: of the second device's agent, as well.
  Status SetUp();
  Status StartAll(std::vector<std::string> environment = {});

  // What is between the cloud and the gateway, and between the gateway and each device.
  void SetNetwork(const Way& uplink, const Way& site);
  void CutUplink(bool cut) { network_->Cut(*cloud_.host, *gateway_.host, cut); }
  void CutSite(bool cut);
  const Network& network() const { return *network_; }

  // SIGKILL, and again with the same arguments.
  Status RestartCloud() { return Restart(&cloud_); }
  Status RestartGateway() { return Restart(&gateway_); }
  // SIGKILL to the mosquitto of the gateway, which is to start it anew.
  Status KillSiteBroker();

  // Every second an event from each device; `change`: another document.
  Status Apply(int change);
  Status DeleteApplication();

  // What the control plane's API answers; null where it cannot be asked.
  nlohmann::json Get(const std::string& path);
  nlohmann::json Device(const std::string& name) { return Get("/devices/" + name); }
  // All events of a device, oldest first.
  std::vector<nlohmann::json> Events(const std::string& device);
  // Events that the gateway keeps until the cloud has them; -1 where it does not say.
  double WaitingInTheGateway();
  // The sum of what the gateway counted of a device.
  std::uint64_t Counted(const std::string& device);
  // Everything that was said, for who has to find out what went wrong.
  std::string Logs() const;

 private:
  struct Node {
    std::string name;
    std::string program;
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::unique_ptr<Host> host;
    std::optional<ChildProcess> child;
  };

  Status Start(Node* node);
  Status Restart(Node* node);
  Status StartCloud();
  Result<std::string> JoinToken(const std::string& role);
  Status Push();
  Result<nlohmann::json> Call(const std::string& method, const std::string& path,
                              const std::string& body = {});
  std::string File(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  std::string token_;  // an administrator's
  Node cloud_;
  Node gateway_;
  Node devices_[2];
  std::unique_ptr<Network> network_;
};

// Until it holds; two minutes at most.
bool Await(const std::function<bool()>& holds);

}  // namespace selvedge
