#pragma once

// The arguments of `selvedge cloud`.

#include <cstdint>
#include <string>

#include "base/status.h"

namespace selvedge {

struct CloudOptions {
  std::string state;  // folder
  std::string http = "localhost:8080";
  std::string https = "0.0.0.0:8443";
  int mqtt_port = 8883;   // 0: any free one, kept from then on; likewise the others
  int mqtt_ws_port = -1;  // MQTT over WebSockets; -1: none
  int registry_port = 5443;
  std::string advertise;        // how other machines name this one
  int keep_days = 30;           // of events
  std::int64_t max_mib = 2048;  // of events on disk
  int aggregate_window_s = 60;
  std::string raw_events = "rules";  // that gateways pass on: rules, none, all
  std::string mosquitto;
};

// Fills *options and configures logging. -1 to go on, else the exit code to leave with.
int ParseCloudOptions(int argc, const char* const* argv, CloudOptions* options);

// "HOST:PORT" into its parts; in brackets for an IPv6 address.
struct HostPort {
  std::string host;
  int port = 0;
};
Result<HostPort> ParseHostPort(const std::string& text);

bool IsLoopbackHost(const std::string& host);

}  // namespace selvedge
