#include "net/mqtt/broker_config.h"

#include <algorithm>
#include <string_view>

#include "base/config.h"

namespace selvedge {
namespace {

bool IsPlain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= ' '; });
}

Status CheckPath(std::string_view path, std::string_view what) {
  if (path.starts_with('/') && path.size() < 4096 && IsPlain(path)) return OkStatus();
  return InvalidArgumentError(QuoteForMessage(path) + " is no absolute path of " +
                              std::string(what));
}

}  // namespace

Status CheckBrokerOptions(const BrokerOptions& options) {
  SELVEDGE_RETURN_IF_ERROR(CheckPath(options.folder, "the broker's folder"));
  SELVEDGE_RETURN_IF_ERROR(CheckPath(options.certificate_file, "the broker's certificate"));
  SELVEDGE_RETURN_IF_ERROR(CheckPath(options.key_file, "the broker's private key"));
  SELVEDGE_RETURN_IF_ERROR(CheckPath(options.ca_file, "the CA's certificate"));
  if (options.listeners.empty() || options.listeners.size() > 16) {
    return InvalidArgumentError("a broker has 1 to 16 listeners");
  }
  for (const BrokerListener& listener : options.listeners) {
    const bool numeric =
        listener.address.find_first_not_of("0123456789abcdefABCDEF.:") == std::string::npos;
    if (listener.address.empty() || !numeric) {
      return InvalidArgumentError(QuoteForMessage(listener.address) +
                                  " is no numeric address for a broker to listen on");
    }
    if (listener.port < 0 || listener.port > 65535) {
      return InvalidArgumentError("a broker's port is a number from 0 to 65535");
    }
  }
  return OkStatus();
}

std::string BrokerConfig(const BrokerOptions& options, const std::vector<int>& ports,
                         const std::string& acl_file, const std::string& user) {
  std::string text = "# Written anew at every start of the broker; changes are lost.\n";
  const auto line = [&text](std::string_view key, std::string_view value) {
    text.append(key).append(" ").append(value).append("\n");
  };
  // Started by root it would become another user, who cannot read this folder.
  line("user", user);
  line("per_listener_settings", "false");
  line("allow_anonymous", "false");
  line("acl_file", acl_file);
  line("persistence", "false");
  line("log_dest", "stderr");
  line("log_timestamp", "false");
  for (const char* type : {"error", "warning", "notice", "information"}) line("log_type", type);
  line("sys_interval", "0");
  line("set_tcp_nodelay", "true");
  line("max_packet_size", std::to_string(options.max_packet));
  line("max_inflight_messages", "100");
  line("max_queued_messages", std::to_string(options.max_queued_messages));
  line("max_queued_bytes", std::to_string(options.max_queued_bytes));
  for (std::size_t i = 0; i < options.listeners.size(); ++i) {
    const BrokerListener& listener = options.listeners[i];
    text += '\n';
    line("listener", std::to_string(ports[i]) + " " + listener.address);
    if (listener.websockets) line("protocol", "websockets");
    line("max_connections", std::to_string(options.max_connections));
    line("cafile", options.ca_file);
    line("certfile", options.certificate_file);
    line("keyfile", options.key_file);
    line("require_certificate", "true");
    line("use_identity_as_username", "true");
    // Else a device could take the gateway's client id, and its connection with it.
    line("use_username_as_clientid", "true");
  }
  return text;
}

BrokerLogLevel LevelOfBrokerLine(std::string_view line) {
  // A warning about what we chose: the broker's user is ours, in a folder that is ours alone.
  if (line.contains("should not be run as root")) return BrokerLogLevel::kDebug;
  // A client that does not come through TLS is the client's trouble, and anybody can cause it.
  if (line.contains("OpenSSL Error")) return BrokerLogLevel::kDebug;
  if (line.starts_with("Error")) return BrokerLogLevel::kError;
  if (line.starts_with("Warning")) return BrokerLogLevel::kWarning;
  return BrokerLogLevel::kDebug;
}

bool SaysRunning(std::string_view line) {
  return line.starts_with("mosquitto version ") && line.ends_with(" running");
}

}  // namespace selvedge
