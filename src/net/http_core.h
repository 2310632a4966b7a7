#pragma once

// What http_server.cc and http_session.cc share: the server behind HttpServer. Nobody else includes
// this: it brings Asio's headers with it.

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "net/http_server.h"

namespace selvedge {

class HttpSession;

// One of the three is set.
struct HttpRoute {
  HttpHandler now;
  HttpLaterHandler later;
  std::shared_ptr<HttpStream> stream;
  HttpRouteOptions options;
};

class HttpCore : public std::enable_shared_from_this<HttpCore> {
 public:
  explicit HttpCore(HttpServerOptions options);

  HttpRoute& AddRoute(std::string_view method, std::string_view path);
  Status Start();
  void Stop();

  int port() const { return port_; }
  int connections() const { return connections_.load(std::memory_order_relaxed); }
  const HttpServerOptions& options() const { return options_; }
  const std::string& machine_name() const { return machine_name_; }
  boost::asio::io_context& io() { return io_; }

  // For sessions, on the I/O thread.
  bool stopping() const { return stopping_; }
  const std::map<std::string, HttpRoute>* FindPath(const std::string& path) const;
  bool TakeStreamPlace();
  void GiveStreamPlace() { --streams_; }

 private:
  Status BindAll();
  Status Bind(const std::vector<boost::asio::ip::tcp::endpoint>& endpoints, int port);
  void Run();
  boost::asio::awaitable<void> AcceptLoop(boost::asio::ip::tcp::acceptor* acceptor);
  void StartSession(boost::asio::ip::tcp::socket socket);
  void WakeStreams();
  void BeginStop();

  const HttpServerOptions options_;
  const std::string machine_name_;
  // Above the sessions and acceptors: they must be gone before it is.
  boost::asio::io_context io_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::vector<boost::asio::ip::tcp::acceptor> acceptors_;
  boost::asio::steady_timer stop_timer_{io_};
  std::map<std::string, std::map<std::string, HttpRoute>> routes_;  // path, then method
  std::unordered_set<HttpSession*> sessions_;
  int streams_ = 0;
  bool stopping_ = false;
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> wake_pending_{false};
  std::thread thread_;
};

}  // namespace selvedge
