#pragma once

// WebSocketClient: one conversation with a server, from the client's side, RFC 6455, text messages.
//
// Owned by one caller. Next and Send wait; both may be called at the same time from two threads,
// and Close from any third. Pings are answered while Next waits. TLS, proxies and errors as in
// net/http_client.h; a server that refuses is the error of its answer (StatusOfAnswer).

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/http_client.h"

namespace selvedge {

struct WebSocketClientOptions {
  std::string url;  // "wss://host:8443/api/v1/stream"; https:// and http:// mean wss:// and ws://
  std::vector<std::pair<std::string, std::string>> headers;
  // Offered in this order. A bearer token goes here for our API: {"selvedge.v1", "bearer.TOKEN"}.
  std::vector<std::string> subprotocols;
  HttpClientTls tls;
  std::string proxy;  // as in HttpClientOptions
  std::chrono::milliseconds connect_timeout{10'000};
  std::size_t max_message_bytes = 1024 * 1024;
};

class WebSocketClient {
 public:
  static Result<std::unique_ptr<WebSocketClient>> Connect(const WebSocketClientOptions& options,
                                                          const std::stop_token& stop = {});
  ~WebSocketClient();  // closes
  WebSocketClient(const WebSocketClient&) = delete;
  WebSocketClient& operator=(const WebSocketClient&) = delete;

  // The next text message; nullopt where none came within `timeout` or `stop` was asked for (heard
  // within 100 ms). Unavailable where the server closed or the connection broke, with the reason;
  // from then on always.
  Result<std::optional<std::string>> Next(std::chrono::milliseconds timeout,
                                          const std::stop_token& stop = {});
  // Waits until it is handed to the kernel, at most ten seconds.
  Status Send(std::string_view text);
  // Says goodbye and ends the conversation. Idempotent.
  void Close();
  // What the server chose; empty where it named none.
  const std::string& subprotocol() const;

 private:
  class Core;
  explicit WebSocketClient(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace selvedge
