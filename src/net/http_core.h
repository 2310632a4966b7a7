#pragma once

// The server behind HttpServer, shared by the .cc files of net/. Nobody else includes this: it
// brings Asio's headers with it.

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "net/http_server.h"
#include "net/http_tls_stream.h"
#include "net/http_workers.h"

namespace selvedge {

class HttpSession;

// Serves a request whole, on the session's own connection; whether that can take another request.
using HttpTakeover = std::function<boost::asio::awaitable<bool>(HttpSession&, bool keep_alive)>;

// One of the first five is set.
struct HttpRoute {
  HttpHandler now;
  HttpLaterHandler later;
  HttpUploadHandler upload;
  std::shared_ptr<HttpStream> stream;
  HttpTakeover takeover;
  HttpRouteOptions options;
};
using HttpMethods = std::map<std::string, HttpRoute>;

class HttpCore : public std::enable_shared_from_this<HttpCore> {
 public:
  explicit HttpCore(HttpServerOptions options);

  HttpRoute& AddRoute(std::string_view method, std::string_view path);
  HttpRoute& AddPrefix(std::string_view method, std::string_view prefix);
  Status Start();
  void Stop();
  Status ReloadTls();

  int port() const { return port_; }
  int connections() const { return connections_.load(std::memory_order_relaxed); }
  const HttpServerOptions& options() const { return options_; }
  const std::string& machine_name() const { return machine_name_; }
  boost::asio::io_context& io() { return io_; }

  // For sessions, on the I/O thread.
  bool stopping() const { return stopping_; }
  const HttpMethods* FindPath(const std::string& path) const;
  const HttpMethods* FindPrefix(std::string_view path) const;
  // Null where the server has none.
  HttpWorkers* workers() { return workers_ ? &*workers_ : nullptr; }
  bool TakeStreamPlace();
  void GiveStreamPlace() { --streams_; }

 private:
  Status BindAll();
  Status Bind(const std::vector<boost::asio::ip::tcp::endpoint>& endpoints, int port);
  void Run();
  boost::asio::awaitable<void> AcceptLoop(boost::asio::ip::tcp::acceptor* acceptor);
  void StartSession(boost::asio::ip::tcp::socket socket);
  std::shared_ptr<HttpTlsContext> tls();
  void WakeStreams();
  void BeginStop();

  const HttpServerOptions options_;
  const std::string machine_name_;
  // Above the sessions and acceptors: they must be gone before it is.
  boost::asio::io_context io_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::vector<boost::asio::ip::tcp::acceptor> acceptors_;
  boost::asio::steady_timer stop_timer_{io_};
  std::map<std::string, HttpMethods> routes_;  // by path
  std::map<std::string, HttpMethods, std::less<>> prefixes_;
  std::optional<HttpWorkers> workers_;
  std::mutex tls_mutex_;
  std::shared_ptr<HttpTlsContext> tls_;
  std::unordered_set<HttpSession*> sessions_;
  int streams_ = 0;
  bool stopping_ = false;
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> wake_pending_{false};
  std::thread thread_;
};

}  // namespace selvedge
