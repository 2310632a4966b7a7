#pragma once

// HttpServer: a small HTTP/1.1 server, for a device's health, metrics and live pictures as well as
// for the registry and the control plane's API. With TLS where asked.
//
// Owned by whoever wires a process together. Routes are added before Start; one I/O thread of its
// own accepts, parses, calls handlers and writes. Handlers therefore must be quick and must not
// wait: what takes time is answered later (HandleLater), pushed (HttpStream), or, with
// `worker_threads`, runs on a small pool, where it may wait for a disk or a database. Start, Stop
// and port are for the owner's thread; HttpReply, HttpStream, WebSocket and ReloadTls may be used
// from any thread.
//
// Which route answers: the exact path, else the longest prefix. A path that has routes, but none
// for the request's method, answers 405 with Allow.
//
// Whom it trusts: nobody. Sizes, times and numbers of connections are capped; a slow or silent
// client is cut off and stalls neither another client nor a publisher. A request whose Host is
// neither a numeric address, `localhost`, this machine's name nor one of `allowed_hosts` is refused
// (421): without that, any web page could read a local server by pointing a name of its own at
// 127.0.0.1 (DNS rebinding).
//
// Failure: Start reports what could not be bound or read and what to do; after that errors are
// answered (400, 404, 405, 408, 413, 421, 426, 431, 500, 501, 503, 505; a sentence as plain text)
// or end the one connection. No exception leaves, nor does one from a handler end the process.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "net/http_file.h"
#include "net/http_stream.h"
#include "net/http_tls.h"
#include "net/websocket.h"

namespace selvedge {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET"; for a HEAD request to a GET route it says "GET"
  std::string path;    // percent-decoded, starts with '/', without the query
  std::string query;   // what follows '?', as sent; empty where there is none
  std::string body;
  std::string remote;  // "127.0.0.1:40312"
  // The client's certificate, where TLS asked for one, it gave one, and our CA signed it; else
  // empty.
  std::string peer_name;         // its CN
  std::string peer_fingerprint;  // SHA-256 of its DER form, 64 hexadecimal digits
  HttpHeaders headers;

  // The first header of this name, in any case; empty where there is none.
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  HttpHeaders headers;  // further ones; Date, Content-Length and Connection are the server's
  // In place of `body`: `file_length` bytes of a file from `file_offset`, sent in small pieces and
  // never held in memory as a whole. AnswerWithFile fills it in.
  std::shared_ptr<const HttpFile> file;
  std::uint64_t file_offset = 0;
  std::uint64_t file_length = 0;
};

// Answers at once, on the I/O thread.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;
// Answers now or later, from any thread. The first call counts, further ones do nothing. If it is
// not called within `reply_timeout`, or every copy is gone, the client gets 503.
using HttpReply = std::function<void(HttpResponse)>;
// On a worker thread where the server has some, else on the I/O thread. The request is gone when it
// returns.
using HttpLaterHandler = std::function<void(const HttpRequest&, HttpReply)>;

// Takes the body of one upload as it comes, however large. Its calls come one after another, on a
// worker thread where the server has some, else on the I/O thread; a slow Write slows its client
// down and nobody else. Exactly one of Finish and Abort is called, last; the sink is destroyed
// after it returned.
class HttpBodySink {
 public:
  virtual ~HttpBodySink() = default;
  // The next bytes, at most 128 KiB, never none. After an error no more come: Finish is called with
  // it.
  virtual Status Write(std::string_view bytes) = 0;
  // Answers, now or later. `status` is OK where the whole body was written, else what Write
  // returned.
  virtual void Finish(const Status& status, HttpReply reply) = 0;
  // There will be no more and nobody to answer: the client went or was too slow, sent what is not
  // HTTP, or the server stops.
  virtual void Abort() = 0;
};

// What an upload handler says to a request of which it has everything but the body: no (the client
// is answered and the connection closed), or where the body goes.
using HttpUpload = std::variant<HttpResponse, std::unique_ptr<HttpBodySink>>;
using HttpUploadHandler = std::function<HttpUpload(const HttpRequest&)>;

// What a WebSocket handler says to a request: no, or the conversation.
using HttpWebSocket = std::variant<HttpResponse, WebSocketAccepted>;
using HttpWebSocketHandler = std::function<HttpWebSocket(const HttpRequest&)>;

// What differs from the server's options on one route.
struct HttpRouteOptions {
  std::optional<std::size_t> max_body_bytes;
  std::optional<std::chrono::milliseconds> reply_timeout;
};

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

  // Serves HTTPS only (TLS 1.2 and newer).
  std::optional<HttpTls> tls;
  // Threads on which HandleLater, HandlePrefix, HandleUpload and HandleWebSocket call; a request
  // waits for a free one at most as long as `reply_timeout`. 0: they are called on the I/O thread
  // and must not wait. Stop waits for the call that each is in.
  int worker_threads = 0;

  std::size_t max_header_bytes = 16 * 1024;
  std::size_t max_body_bytes = 1024 * 1024;
  int max_connections = 64;  // above it: 503 at once
  int max_streams =
      16;  // streams and WebSockets of those; so that watchers never lock out /healthz
  std::chrono::milliseconds header_timeout{
      10'000};  // from the first byte of a request to its last header
  // A whole body; for an upload each 16 KiB of it, for a file each 64 KiB that the client takes.
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
  // (or prefix) replaces the first.
  void Handle(std::string_view method, std::string_view path, HttpHandler handler,
              HttpRouteOptions options = {});
  void HandleLater(std::string_view method, std::string_view path, HttpLaterHandler handler,
                   HttpRouteOptions options = {});
  // Every path that begins with `prefix` ("/v2/"). The path is decoded; one with a segment "." or
  // ".." is refused (400) before a handler sees it.
  void HandlePrefix(std::string_view method, std::string_view prefix, HttpLaterHandler handler,
                    HttpRouteOptions options = {});
  // The same for bodies of any size, which the handler's sink takes as they come; with
  // Content-Length or chunked. A client that asks first (Expect: 100-continue) is told to go on
  // only after the handler gave a sink. max_body_bytes does not apply.
  void HandleUpload(std::string_view method, std::string_view prefix, HttpUploadHandler handler,
                    HttpRouteOptions options = {});
  // GET gives `stream` until it ends or the client goes. Ended streams answer 503.
  void HandleStream(std::string_view path, std::shared_ptr<HttpStream> stream);
  // GET with an Upgrade to WebSocket (RFC 6455); without one the answer is 426. A page's Origin
  // must be a host that this server answers to (403). `handler` decides the rest: who may, and
  // which subprotocol.
  void HandleWebSocket(std::string_view path, HttpWebSocketHandler handler,
                       WebSocketOptions options = {});

  // Binds and serves. Unavailable where every port tried is busy, InvalidArgument for an address
  // that is none, PermissionDenied for a port this user may not have; for TLS what is wrong with
  // which file. Once.
  Status Start();
  // No new requests; responses under way get `stop_timeout`, streams, WebSockets and uploads end at
  // once. Idempotent.
  void Stop();
  // Reads the files of `tls` anew, for connections from now on. Any thread. On an error (as in
  // Start; FailedPrecondition where it serves no TLS) what was there stays.
  Status ReloadTls();

  // What was bound; 0 before Start.
  int port() const;
  // For people: "http://localhost:8090/"; for 0.0.0.0 with this machine's name; "https" with TLS.
  // Empty before Start.
  std::string url() const;
  // Open at this moment.
  int connections() const;

 private:
  std::shared_ptr<class HttpCore> core_;
};

// For an upload whose content is small and wanted in one piece (a manifest, say, on a path whose
// other uploads are large): `done` gets all of it, where Finish would be called. A body of more
// than `max_bytes` answers 413.
std::unique_ptr<HttpBodySink> CollectBody(std::size_t max_bytes,
                                          std::function<void(std::string body, HttpReply)> done);

// `file`, or the part of it that the request's Range asks for: 200, 206, or 416. `etag` (with its
// quotes; may be empty) is sent, and honoured in If-Range and If-None-Match (304).
HttpResponse AnswerWithFile(const HttpRequest& request, std::shared_ptr<const HttpFile> file,
                            std::string_view content_type, std::string_view etag = {});

// The HTTP status of a canonical code (404 for kNotFound), and an answer of that status whose body
// is the JSON that our APIs give for an error: {"error": {"code": "NOT_FOUND", "message": "..."}}.
int HttpStatusOf(StatusCode code);
HttpResponse HttpJsonError(const Status& status);

// The value of `key` in a query string ("a=1&b=x%20y"), decoded; empty where there is none.
std::string QueryValue(std::string_view query, std::string_view key);
// "Not Found" for 404; "Unknown" where there is no such code.
std::string_view HttpReason(int status);

}  // namespace selvedge
