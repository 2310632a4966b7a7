#pragma once

// HttpSession: one connection of an HttpServer, from its first byte to its last. Internal to net/.

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "net/http_core.h"

namespace selvedge {

// One connection; lives as long as its coroutine. I/O thread only.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(HttpCore* server, boost::asio::ip::tcp::socket socket)
      : server_(*server), socket_(std::move(socket)) {}

  boost::asio::awaitable<void> Run();
  // Cuts everything off; the coroutine then ends by itself.
  void Abort();
  // No further request; a stream ends.
  void OnStop();
  void WakeStream() {
    if (streaming_) signal_.cancel();
  }
  void SetReply(std::uint64_t number, HttpResponse response);

 private:
  class Parser;
  enum class ReadOutcome { kRequest, kRefused, kClosed };

  boost::asio::awaitable<ReadOutcome> ReadRequest(Parser* parser);
  boost::asio::awaitable<bool> Fill(bool idle);
  std::optional<HttpResponse> Accept(Parser* parser);
  boost::asio::awaitable<bool> Answer(bool keep_alive);
  boost::asio::awaitable<HttpResponse> Call(const HttpRoute& route);
  boost::asio::awaitable<bool> Write(const HttpResponse& response, bool keep_alive);
  boost::asio::awaitable<bool> WriteAll(std::array<boost::asio::const_buffer, 2> buffers);
  boost::asio::awaitable<void> ServeStream(std::shared_ptr<HttpStream> stream);
  boost::asio::awaitable<void> SendChunks(HttpStream* stream);
  boost::asio::awaitable<void> WatchPeer();
  boost::asio::awaitable<void> Linger();
  void Arm(std::chrono::milliseconds after);
  void AwaitDeadline();
  void Disarm();

  HttpCore& server_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  HttpRequest request_;
  bool head_ = false;     // a HEAD request
  HttpResponse refusal_;  // where ReadRequest says kRefused
  boost::asio::steady_timer deadline_{socket_.get_executor()};
  boost::asio::steady_timer signal_{socket_.get_executor()};  // cancelled to wake the coroutine
  bool timed_out_ = false;
  bool idle_ = true;
  bool streaming_ = false;
  bool gone_ = false;
  std::uint64_t number_ = 0;  // of the request on this connection
  std::optional<HttpResponse> reply_;
};

}  // namespace selvedge
