#pragma once

// WebSocket: one client's conversation with an HttpServer (HttpServer::HandleWebSocket), RFC 6455,
// text messages.
//
// A WebSocket is shared by the server and whoever keeps it; its methods may be called from any
// thread and never wait. What waits to be sent is bounded, per client: Send says `false` when it is
// full, and the caller decides what that means (leave out, say so later, close). The server pings a
// client that is silent and closes one that does not answer, that takes nothing for `write_timeout`
// while something is to be sent, that sends a message over the limit (1009), binary (1003), text
// that is not UTF-8 (1007) or what is no WebSocket (1002).

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace selvedge {

struct WebSocketOptions {
  std::size_t max_message_bytes = 64 * 1024;        // received
  std::size_t max_queued_messages = 256;            // to be sent
  std::size_t max_queued_bytes = 4 * 1024 * 1024;   // to be sent
  std::chrono::milliseconds ping_interval{20'000};  // two of them without a sign of life: closed
  std::chrono::milliseconds write_timeout{10'000};
};

class WebSocket {
 public:
  virtual ~WebSocket() = default;
  // Queues a text message (UTF-8). False, and nothing queued, where the queue is full or the
  // conversation is over (open() tells which). A message for many clients is shared, not copied.
  virtual bool Send(std::shared_ptr<const std::string> text) = 0;
  bool Send(std::string text) { return Send(std::make_shared<const std::string>(std::move(text))); }
  // Sends what is queued, then says goodbye. 1000 is a normal end, 1001 going away, 1008 against a
  // policy, 1011 our fault, 1013 try again later; `reason` of at most 123 bytes.
  virtual void Close(int code = 1000, std::string_view reason = {}) = 0;
  virtual bool open() const = 0;
  // Messages that wait to be sent.
  virtual std::size_t queued() const = 0;
};

// What a WebSocket handler answers with to take up a conversation. Callbacks come one after
// another, on a worker thread where the server has some (HttpServerOptions::worker_threads), else
// on the I/O thread. Each may be empty.
struct WebSocketAccepted {
  std::string subprotocol;  // one of those the client offered; empty: none is named
  // First. It may keep the WebSocket and Send at once.
  std::function<void(std::shared_ptr<WebSocket>)> on_open;
  // A client that sends faster than this returns is slowed down.
  std::function<void(std::string_view text)> on_message;
  // Last, once, whoever ended it. 1006 where the connection just went.
  std::function<void(int code, std::string_view reason)> on_close;
};

// What a client offers in Sec-WebSocket-Protocol ("selvedge.v1, bearer.TOKEN"), in its order; at
// most 16.
std::vector<std::string> WebSocketProtocols(std::string_view header);

}  // namespace selvedge
