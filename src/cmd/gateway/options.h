#pragma once

// What `selvedge-gateway` is told on its command line, and what it remembers of it.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace selvedge {

struct GatewayCommand {
  std::string join;  // a token, or @FILE that holds one; empty: has joined already
  std::string name;  // empty: "gateway-SITE"
  std::string state = "/var/lib/selvedge/gateway";
  std::string listen = "0.0.0.0";
  std::optional<int> mqtt_port;
  std::optional<int> websocket_port;
  std::optional<int> https_port;
  std::vector<std::string> advertise;  // hosts that devices are told; the first is the one in URLs
  int metrics_port = -1;               // plain, this machine only; -1: none, 0: any free one
  std::string proxy;
  std::string mosquitto;
  std::vector<std::pair<std::string, std::string>> labels;
  double mirror_gib = 20;
};

// -1 to go on, else the exit code to leave with.
int ParseGatewayCommand(int argc, char** argv, GatewayCommand* command);

// Where it listens and what its devices were told when it joined; kept in the state folder, so that
// the next start without options does the same.
struct GatewayPlaces {
  int mqtt_port = 8883;
  int websocket_port = 0;  // 0: none
  int https_port = 8443;
  std::vector<std::string> advertise;

  std::string MqttUrl() const;
  std::string HttpsUrl() const;
  friend bool operator==(const GatewayPlaces&, const GatewayPlaces&) = default;
};

// From what is kept and what the command says; ports of 0 become free ones, kept from then on.
Result<GatewayPlaces> DecidePlaces(const GatewayCommand& command);
// Whether it was kept by an earlier start.
Result<std::optional<GatewayPlaces>> LoadPlaces(const std::string& state_folder);

// The token itself, from the command line or its file.
Result<std::string> ReadToken(std::string_view argument);

}  // namespace selvedge
