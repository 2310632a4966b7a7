#pragma once

// HttpSession: one connection of an HttpServer, from its first byte to its last. Internal to net/.

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "net/http_core.h"

namespace selvedge {

// One connection; lives as long as its coroutine. I/O thread only.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  // `tls` may be null.
  HttpSession(HttpCore* server, boost::asio::ip::tcp::socket socket, HttpTlsContext* tls)
      : server_(*server),
        socket_(std::move(socket)),
        tls_(tls != nullptr ? tls->NewStream(&socket_) : nullptr) {}

  boost::asio::awaitable<void> Run();
  // Cuts everything off; the coroutine then ends by itself.
  void Abort();
  // No further request; a stream ends.
  void OnStop();
  void WakeStream() {
    if (streaming_) signal_.cancel();
  }
  void SetReply(std::uint64_t number, HttpResponse response);

  // For a takeover.
  using Bytes = std::pair<boost::system::error_code, std::size_t>;
  HttpCore& server() { return server_; }
  const HttpRequest& request() const { return request_; }
  bool gone() const { return gone_; }
  // What was read, and belongs to what follows the request.
  boost::beast::flat_buffer& buffer() { return buffer_; }
  boost::asio::awaitable<Bytes> ReadSome(boost::asio::mutable_buffer buffer);
  // Without a time limit, which is the caller's to set.
  boost::asio::awaitable<boost::system::error_code> WriteRaw(
      std::array<boost::asio::const_buffer, 2> buffers);
  boost::asio::awaitable<bool> Write(const HttpResponse& response, bool keep_alive);
  // With the time limit of a response.
  boost::asio::awaitable<bool> WriteAll(std::array<boost::asio::const_buffer, 2> buffers);
  // Runs `task` on a worker where there are some, else here, and waits until it is done, whatever
  // happens to the connection: it may refer to what the caller holds.
  boost::asio::awaitable<void> Work(HttpWorkers::Task task);
  void Disarm();
  // Called instead of waiting for the session to end by itself.
  void set_on_stop(std::function<void()> on_stop) { on_stop_ = std::move(on_stop); }

 private:
  class Parser;
  enum class ReadOutcome { kRequest, kRefused, kClosed };

  boost::asio::awaitable<bool> Handshake();
  boost::asio::awaitable<bool> ServeOne(Parser* parser);
  boost::asio::awaitable<ReadOutcome> ReadHead(Parser* parser);
  boost::asio::awaitable<ReadOutcome> ReadBody(Parser* parser, std::size_t limit);
  boost::asio::awaitable<bool> SendContinue();
  boost::asio::awaitable<bool> Fill(std::size_t bytes);
  // Parses what buffer_ has; false, and refusal_ set, where it is no HTTP or too much.
  bool Parse(Parser* parser, std::size_t body_limit);
  std::optional<HttpResponse> Accept(Parser* parser);
  std::optional<HttpResponse> FindRoute();
  boost::asio::awaitable<bool> Answer(bool keep_alive);
  boost::asio::awaitable<HttpResponse> Call();
  HttpReply NewReply();
  boost::asio::awaitable<HttpResponse> AwaitReply();

  boost::asio::awaitable<bool> ServeUpload(Parser* parser, bool keep_alive);
  boost::asio::awaitable<bool> Receive(Parser* parser, HttpBodySink* sink, Status* status);

  boost::asio::awaitable<bool> WriteFile(const HttpResponse& response, const std::string& head);
  boost::asio::awaitable<bool> WriteWithin(std::chrono::milliseconds limit,
                                           std::array<boost::asio::const_buffer, 2> buffers);
  boost::asio::awaitable<void> ServeStream(std::shared_ptr<HttpStream> stream);
  boost::asio::awaitable<void> SendChunks(HttpStream* stream);
  boost::asio::awaitable<void> WatchPeer();
  boost::asio::awaitable<void> Linger();
  void Arm(std::chrono::milliseconds after);
  void AwaitDeadline();

  HttpCore& server_;
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<HttpTlsStream> tls_;  // over socket_; null for plain HTTP
  boost::beast::flat_buffer buffer_;
  HttpRequest request_;
  const HttpRoute* route_ = nullptr;  // of request_
  bool head_ = false;                 // a HEAD request
  bool expects_ = false;              // the client waits for 100 Continue
  HttpResponse refusal_;              // where ReadHead or ReadBody says kRefused
  boost::asio::steady_timer deadline_{socket_.get_executor()};
  boost::asio::steady_timer signal_{socket_.get_executor()};  // cancelled to wake the coroutine
  bool timed_out_ = false;
  bool idle_ = true;
  bool streaming_ = false;
  bool uploading_ = false;
  bool gone_ = false;
  std::function<void()> on_stop_;
  std::uint64_t number_ = 0;  // of the request on this connection
  std::optional<HttpResponse> reply_;
};

}  // namespace selvedge
