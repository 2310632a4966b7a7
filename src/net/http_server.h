#pragma once

// HttpServer: a small HTTP/1.1 server for health, metrics, status and live pictures.
//
// Owned by whoever wires a process together. Routes are added before Start; one I/O thread of its
// own accepts, parses, calls handlers and writes. Handlers therefore must be quick and must not
// wait: what takes time is answered later (HandleLater) or pushed (HttpStream). Start, Stop and
// port are for the owner's thread; HttpReply and HttpStream may be used from any thread.
//
// Whom it trusts: nobody. Sizes, times and numbers of connections are capped; a slow or silent
// client is cut off and stalls neither another client nor a publisher. A request whose Host is
// neither a numeric address, `localhost`, this machine's name nor one of `allowed_hosts` is refused
// (421): without that, any web page could read a local server by pointing a name of its own at
// 127.0.0.1 (DNS rebinding).
//
// Failure: Start reports what could not be bound and what to do; after that errors are answered
// (400, 404, 405, 408, 413, 421, 431, 500, 501, 503, 505) or end the one connection. No
// exception leaves, nor does one from a handler end the process.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/http_stream.h"

namespace selvedge {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET"; for a HEAD request to a GET route it says "GET"
  std::string path;    // percent-decoded, starts with '/', without the query
  std::string query;   // what follows '?', as sent; empty where there is none
  std::string body;
  std::string remote;  // "127.0.0.1:40312"
  HttpHeaders headers;

  // The first header of this name, in any case; empty where there is none.
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  HttpHeaders headers;  // further ones; Date, Content-Length and Connection are the server's
};

// Answers at once, on the I/O thread.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;
// Answers now or later, from any thread. The first call counts, further ones do nothing. If it is
// not called within `reply_timeout`, or every copy is gone, the client gets 503.
using HttpReply = std::function<void(HttpResponse)>;
using HttpLaterHandler = std::function<void(const HttpRequest&, HttpReply)>;

struct HttpServerOptions {
  // "localhost" is 127.0.0.1 and, where the machine has it, ::1. Otherwise a numeric address,
  // "0.0.0.0" or "::". Other machines can reach the server only if one that is not loopback is
  // chosen here, on purpose.
  std::string address = "localhost";
  int port = 8090;     // 0: any free one
  int port_tries = 1;  // busy ports are skipped: port, port + 1, … this many
  // Further names to accept in Host (a reverse proxy's, a DNS name of this device); "*" accepts
  // all.
  std::vector<std::string> allowed_hosts;

  std::size_t max_header_bytes = 16 * 1024;
  std::size_t max_body_bytes = 1024 * 1024;
  int max_connections = 64;  // above it: 503 at once
  int max_streams = 16;      // of those; so that watchers never lock out /healthz
  std::chrono::milliseconds header_timeout{
      10'000};  // from the first byte of a request to its last header
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{30'000};   // kept alive without a request
  std::chrono::milliseconds write_timeout{10'000};  // a response, or one chunk of a stream
  std::chrono::milliseconds reply_timeout{10'000};
  std::chrono::milliseconds stop_timeout{2'000};  // responses under way when Stop is called
};

class HttpServer {
 public:
  explicit HttpServer(HttpServerOptions options);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Exact paths. HEAD is answered by the GET handler. A second route for the same method and path
  // replaces the first.
  void Handle(std::string_view method, std::string_view path, HttpHandler handler);
  void HandleLater(std::string_view method, std::string_view path, HttpLaterHandler handler);
  // GET gives `stream` until it ends or the client goes. Ended streams answer 503.
  void HandleStream(std::string_view path, std::shared_ptr<HttpStream> stream);

  // Binds and serves. Unavailable where every port tried is busy, InvalidArgument for an address
  // that is none, PermissionDenied for a port this user may not have. Once.
  Status Start();
  // No new requests; responses under way get `stop_timeout`, streams end at once. Idempotent.
  void Stop();

  // What was bound; 0 before Start.
  int port() const;
  // For people: "http://localhost:8090/"; for 0.0.0.0 with this machine's name. Empty before Start.
  std::string url() const;
  // Open at this moment.
  int connections() const;

 private:
  std::shared_ptr<class HttpCore> core_;
};

// The value of `key` in a query string ("a=1&b=x%20y"), decoded; empty where there is none.
std::string QueryValue(std::string_view query, std::string_view key);
// "Not Found" for 404; "Unknown" where there is no such code.
std::string_view HttpReason(int status);

}  // namespace selvedge
