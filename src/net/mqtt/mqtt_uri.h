#pragma once

// Where a broker listens, read from "mqtts://HOST:PORT" and its like. Pure; thread-safe.

#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

struct MqttUri {
  bool tls = true;
  bool websockets = false;
  std::string host;  // a name or a numeric address, an IPv6 one without brackets
  int port = 0;
  std::string path;  // of WebSockets: "/mqtt"; empty otherwise

  // "HOST:PORT", for messages; brackets around an IPv6 address.
  std::string Place() const;
  friend bool operator==(const MqttUri&, const MqttUri&) = default;
};

// "mqtts://" (default port 8883), "wss://" (443), and for this machine's numeric loopback addresses
// only "mqtt://" (1883) and "ws://" (80): between machines nothing goes in the clear.
Result<MqttUri> ParseMqttUri(std::string_view text);

// "127.0.0.1" and the other addresses of 127.0.0.0/8, "::1".
bool IsNumericLoopback(std::string_view host);

}  // namespace selvedge
