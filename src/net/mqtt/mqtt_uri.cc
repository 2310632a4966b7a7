#include "net/mqtt/mqtt_uri.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/config.h"

namespace selvedge {
namespace {

struct Scheme {
  std::string_view prefix;
  bool tls;
  bool websockets;
  int port;
};
constexpr std::array<Scheme, 4> kSchemes = {{{"mqtts://", true, false, 8883},
                                             {"wss://", true, true, 443},
                                             {"mqtt://", false, false, 1883},
                                             {"ws://", false, true, 80}}};

Status Bad(std::string_view text, std::string_view why) {
  return InvalidArgumentError(QuoteForMessage(text) +
                              " is no address of a broker: " + std::string(why));
}

bool IsHost(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':';
  });
}

}  // namespace

std::string MqttUri::Place() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool IsNumericLoopback(std::string_view host) {
  const std::string text(host);
  in_addr v4 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6 = {};
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

Result<MqttUri> ParseMqttUri(std::string_view text) {
  const auto scheme = std::ranges::find_if(
      kSchemes, [&](const Scheme& known) { return text.starts_with(known.prefix); });
  if (scheme == kSchemes.end()) {
    return Err(Bad(text, "it must begin with mqtts:// or wss://"));
  }
  MqttUri uri{.tls = scheme->tls, .websockets = scheme->websockets, .port = scheme->port};
  std::string_view rest = text.substr(scheme->prefix.size());
  if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    if (!uri.websockets) return Err(Bad(text, "only WebSockets have a path"));
    uri.path = rest.substr(slash);
    rest = rest.substr(0, slash);
  }
  const bool plain_path =
      std::ranges::all_of(uri.path, [](char c) { return c > ' ' && c <= '~' && c != '"'; });
  if (!plain_path || uri.path.size() > 200) return Err(Bad(text, "its path is malformed"));
  std::string_view port;
  bool has_port = false;
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return Err(Bad(text, "a bracket is not closed"));
    uri.host = rest.substr(1, end - 1);
    rest = rest.substr(end + 1);
    has_port = rest.starts_with(':');
    if (!rest.empty() && !has_port) return Err(Bad(text, "its port is malformed"));
    if (has_port) port = rest.substr(1);
  } else {
    const std::size_t colon = rest.find(':');
    uri.host = rest.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = rest.substr(colon + 1);
  }
  if (!IsHost(uri.host)) return Err(Bad(text, "its host is missing or malformed"));
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), uri.port);
    if (error != std::errc() || end != port.data() + port.size() || uri.port < 1 ||
        uri.port > 65535) {
      return Err(Bad(text, "its port is not a number from 1 to 65535"));
    }
  }
  if (!uri.tls && !IsNumericLoopback(uri.host)) {
    return Err(Bad(text, "without TLS only 127.0.0.1 and [::1] are allowed; use " +
                             std::string(uri.websockets ? "wss://" : "mqtts://")));
  }
  return uri;
}

}  // namespace selvedge
