#include "net/http_server.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "net/http_core.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace selvedge {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

std::string MachineName() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0) return {};
  return name;
}

}  // namespace

HttpCore::HttpCore(HttpServerOptions options)
    : options_(std::move(options)), machine_name_(MachineName()) {}

HttpRoute& HttpCore::AddRoute(std::string_view method, std::string_view path) {
  HttpRoute& route = routes_[std::string(path)][std::string(method)];
  route = {};
  return route;
}

HttpRoute& HttpCore::AddPrefix(std::string_view method, std::string_view prefix) {
  HttpRoute& route = prefixes_[std::string(prefix)][std::string(method)];
  route = {};
  return route;
}

const HttpMethods* HttpCore::FindPath(const std::string& path) const {
  const auto found = routes_.find(path);
  return found == routes_.end() ? nullptr : &found->second;
}

const HttpMethods* HttpCore::FindPrefix(std::string_view path) const {
  const HttpMethods* longest = nullptr;
  std::size_t length = 0;
  for (const auto& [prefix, methods] : prefixes_) {
    if (!path.starts_with(prefix) || (longest != nullptr && prefix.size() < length)) continue;
    longest = &methods;
    length = prefix.size();
  }
  return longest;
}

std::shared_ptr<HttpTlsContext> HttpCore::tls() {
  const std::lock_guard lock(tls_mutex_);
  return tls_;
}

Status HttpCore::ReloadTls() {
  if (!options_.tls) return FailedPreconditionError("http: this server was not told to speak TLS");
  auto loaded = options_.tls->load(*options_.tls);
  if (!loaded) return loaded.error();
  const std::lock_guard lock(tls_mutex_);
  tls_ = *std::move(loaded);
  return OkStatus();
}

bool HttpCore::TakeStreamPlace() {
  if (streams_ >= options_.max_streams) return false;
  ++streams_;
  return true;
}

Status HttpCore::BindAll() {
  std::vector<tcp::endpoint> endpoints;
  error_code ec;
  if (options_.address == "localhost") {
    endpoints = {{asio::ip::address_v4::loopback(), 0}, {asio::ip::address_v6::loopback(), 0}};
  } else {
    const auto address = asio::ip::make_address(options_.address, ec);
    if (ec) {
      return InvalidArgumentError("http: \"" + options_.address +
                                  "\" is no address: use localhost or a numeric one");
    }
    endpoints = {{address, 0}};
  }
  const int tries = std::max(1, options_.port_tries);
  if (options_.port == 0) {
    // The port found free for IPv4 can be taken for IPv6: then another one.
    Status status;
    for (int i = 0; i < 8; ++i) {
      status = Bind(endpoints, 0);
      if (status.code() != StatusCode::kUnavailable) break;
    }
    return status;
  }
  int last = options_.port;
  for (int i = 0; i < tries && options_.port + i <= 65535; ++i) {
    last = options_.port + i;
    Status status = Bind(endpoints, last);
    if (status.code() != StatusCode::kUnavailable) return status;
  }
  const std::string ports = last == options_.port
                                ? "port " + std::to_string(last) + " on " + options_.address + " is"
                                : "ports " + std::to_string(options_.port) + " to " +
                                      std::to_string(last) + " on " + options_.address + " are all";
  return UnavailableError("http: " + ports + " in use: choose another port, or 0 for any free one");
}

Status HttpCore::Bind(const std::vector<tcp::endpoint>& endpoints, int port) {
  std::vector<tcp::acceptor> acceptors;
  for (const tcp::endpoint& wanted : endpoints) {
    const tcp::endpoint endpoint(wanted.address(), static_cast<unsigned short>(port));
    tcp::acceptor acceptor(io_);
    error_code ec;
    acceptor.open(endpoint.protocol(), ec);
    if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec && endpoint.address().is_v6()) {
      acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), ec);
    }
    if (!ec) acceptor.bind(endpoint, ec);
    if (!ec) acceptor.listen(128, ec);
    if (ec && !acceptors.empty() && ec != asio::error::address_in_use) break;  // no IPv6 here
    const std::string where =
        "http: cannot serve on " + options_.address + " port " + std::to_string(port) + ": ";
    if (ec == asio::error::address_in_use) return UnavailableError(where + "it is in use");
    if (ec == asio::error::access_denied) {
      return PermissionDeniedError(where +
                                   "ports below 1024 need a privilege, choose a higher one");
    }
    if (ec)
      return InvalidArgumentError(where + ec.message() + "; is it an address of this machine?");
    if (port == 0) port = acceptor.local_endpoint(ec).port();
    acceptors.push_back(std::move(acceptor));
  }
  acceptors_ = std::move(acceptors);
  port_ = port;
  return OkStatus();
}

Status HttpCore::Start() {
  if (thread_.joinable() || stopping_) return FailedPreconditionError("http: started twice");
  if (options_.tls) SELVEDGE_RETURN_IF_ERROR(ReloadTls());
  SELVEDGE_RETURN_IF_ERROR(BindAll());
  for (const auto& [path, methods] : routes_) {
    for (const auto& [method, route] : methods) {
      if (!route.stream) continue;
      route.stream->Attach(this, [weak = weak_from_this()] {
        if (auto server = weak.lock()) server->WakeStreams();
      });
    }
  }
  work_.emplace(io_.get_executor());
  for (tcp::acceptor& acceptor : acceptors_) {
    asio::co_spawn(io_, [this, target = &acceptor] { return AcceptLoop(target); }, asio::detached);
  }
  // Signals are for the main thread.
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  if (options_.worker_threads > 0) workers_.emplace(options_.worker_threads);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return OkStatus();
}

void HttpCore::Run() {
  pthread_setname_np(pthread_self(), "http");
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception& e) {
      // Out of memory in one connection; the others go on.
      log::Error("http", "a connection failed", {{"error", e.what()}});
    }
  }
}

asio::awaitable<void> HttpCore::AcceptLoop(tcp::acceptor* acceptor) {
  log::RateLimited limited(10 * kSecond);
  asio::steady_timer pause(io_);
  while (!stopping_) {
    auto [ec, socket] = co_await acceptor->async_accept(kAwait);
    if (stopping_) co_return;
    if (!ec) {
      try {
        StartSession(std::move(socket));
      } catch (const std::exception& e) {
        log::Error("http", "a connection could not be served", {{"error", e.what()}});
      }
      continue;
    }
    if (ec == asio::error::connection_aborted) continue;
    if (limited.Allow(Clock::System().Monotonic())) {
      log::Warning("http", "cannot accept connections", {{"error", ec.message()}});
    }
    // Out of file descriptors, most likely: trying again at once would only burn the processor.
    pause.expires_after(milliseconds(100));
    co_await pause.async_wait(kAwait);
  }
}

void HttpCore::StartSession(tcp::socket socket) {
  error_code ec;
  const std::shared_ptr<HttpTlsContext> tls = this->tls();
  if (static_cast<int>(sessions_.size()) >= options_.max_connections) {
    // With TLS there is no telling anybody before a handshake, which is what there is no room for.
    if (tls) return;
    const HttpResponse busy = HttpErrorResponse(503, "too many connections; try again later");
    const std::string text =
        ResponseHead(busy, static_cast<long long>(busy.body.size()), false) + busy.body;
    socket.non_blocking(true, ec);
    socket.write_some(asio::buffer(text), ec);
    socket.shutdown(tcp::socket::shutdown_both, ec);
    return;
  }
  socket.set_option(tcp::no_delay(true), ec);
  auto session = std::make_shared<HttpSession>(this, std::move(socket), tls.get());
  sessions_.insert(session.get());
  connections_.store(static_cast<int>(sessions_.size()), std::memory_order_relaxed);
  asio::co_spawn(
      io_, [session] { return session->Run(); },
      [this, session](std::exception_ptr failure) {
        if (failure) log::Error("http", "a connection failed and was closed");
        session->Abort();
        sessions_.erase(session.get());
        connections_.store(static_cast<int>(sessions_.size()), std::memory_order_relaxed);
        if (stopping_ && sessions_.empty()) stop_timer_.cancel();
      });
}

void HttpCore::WakeStreams() {
  if (wake_pending_.exchange(true)) return;
  try {
    asio::post(io_, [weak = weak_from_this()] {
      const auto server = weak.lock();
      if (!server) return;
      server->wake_pending_ = false;
      for (HttpSession* session : server->sessions_) session->WakeStream();
    });
  } catch (const std::exception&) {
    wake_pending_ = false;  // out of memory: the next chunk wakes them
  }
}

void HttpCore::BeginStop() {
  stopping_ = true;
  error_code ignored;
  for (tcp::acceptor& acceptor : acceptors_) acceptor.close(ignored);
  for (HttpSession* session : sessions_) session->OnStop();
  if (sessions_.empty()) return;
  stop_timer_.expires_after(options_.stop_timeout);
  stop_timer_.async_wait([this](error_code ec) {
    if (ec) return;
    for (HttpSession* session : sessions_) session->Abort();
  });
}

void HttpCore::Stop() {
  if (!thread_.joinable()) return;
  for (const auto& [path, methods] : routes_) {
    for (const auto& [method, route] : methods) {
      if (route.stream) route.stream->Detach(this);
    }
  }
  asio::post(io_, [this] { BeginStop(); });
  work_.reset();
  thread_.join();
  if (workers_) workers_->Stop();
  // Handlers may own what owns replies of ours.
  routes_.clear();
  prefixes_.clear();
}

HttpServer::HttpServer(HttpServerOptions options)
    : core_(std::make_shared<HttpCore>(std::move(options))) {}

HttpServer::~HttpServer() {
  Stop();
}

void HttpServer::Handle(std::string_view method, std::string_view path, HttpHandler handler,
                        HttpRouteOptions options) {
  HttpRoute& route = core_->AddRoute(method, path);
  route.now = std::move(handler);
  route.options = options;
}

void HttpServer::HandleLater(std::string_view method, std::string_view path,
                             HttpLaterHandler handler, HttpRouteOptions options) {
  HttpRoute& route = core_->AddRoute(method, path);
  route.later = std::move(handler);
  route.options = options;
}

void HttpServer::HandlePrefix(std::string_view method, std::string_view prefix,
                              HttpLaterHandler handler, HttpRouteOptions options) {
  HttpRoute& route = core_->AddPrefix(method, prefix);
  route.later = std::move(handler);
  route.options = options;
}

void HttpServer::HandleUpload(std::string_view method, std::string_view prefix,
                              HttpUploadHandler handler, HttpRouteOptions options) {
  HttpRoute& route = core_->AddPrefix(method, prefix);
  route.upload = std::move(handler);
  route.options = options;
}

void HttpServer::HandleStream(std::string_view path, std::shared_ptr<HttpStream> stream) {
  core_->AddRoute("GET", path).stream = std::move(stream);
}

Status HttpServer::Start() {
  return core_->Start();
}
void HttpServer::Stop() {
  core_->Stop();
}
Status HttpServer::ReloadTls() {
  return core_->ReloadTls();
}
int HttpServer::port() const {
  return core_->port();
}
int HttpServer::connections() const {
  return core_->connections();
}

std::string HttpServer::url() const {
  if (port() == 0) return {};
  std::string host = core_->options().address;
  if (host == "127.0.0.1" || host == "::1") host = "localhost";
  if (host == "0.0.0.0" || host == "::") host = core_->machine_name();
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return (core_->options().tls ? "https://" : "http://") + host + ":" + std::to_string(port()) +
         "/";
}

}  // namespace selvedge
