#include "net/http_session.h"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>
#include <utility>

#include "base/log.h"
#include "net/http_message.h"
#include "net/http_parser.h"

namespace selvedge {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

// Operations return (error_code, result...) instead of throwing.
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kCancelAgain{20};
constexpr std::size_t kReadBytes = 16 * 1024;

// The answer to a request that could not be parsed.
HttpResponse ParseErrorResponse(const error_code& ec, std::size_t max_header,
                                std::size_t max_body) {
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return HttpErrorResponse(
        431, "the request's header is larger than " + std::to_string(max_header) + " bytes");
  }
  if (ec == http::error::body_limit) {
    return HttpErrorResponse(
        413, "the request's body is larger than " + std::to_string(max_body) + " bytes");
  }
  if (ec == http::error::bad_version)
    return HttpErrorResponse(505, "only HTTP/1.0 and 1.1 are spoken");
  if (ec == http::error::bad_transfer_encoding) {
    return HttpErrorResponse(501, "no transfer encoding but chunked is understood");
  }
  return HttpErrorResponse(400, "the request is not HTTP: " + ec.message());
}

// Whether a path could lead out of the folder that a handler has in mind.
bool HasDotSegment(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(segment.size());
  }
  return false;
}

// What copies of an HttpReply share: the first call wins, and the last copy to go answers 503.
class PendingReply {
 public:
  PendingReply(std::weak_ptr<HttpCore> server, std::weak_ptr<HttpSession> session,
               std::uint64_t number)
      : server_(std::move(server)), session_(std::move(session)), number_(number) {}
  ~PendingReply() { Deliver(HttpErrorResponse(503, "there is no answer to this request")); }

  void Deliver(HttpResponse response) noexcept {
    if (done_.test_and_set()) return;
    const std::shared_ptr<HttpCore> server = server_.lock();
    if (!server) return;
    try {
      asio::post(server->io(),
                 [session = session_, number = number_, response = std::move(response)]() mutable {
                   if (auto alive = session.lock()) alive->SetReply(number, std::move(response));
                 });
    } catch (const std::exception& e) {
      // Out of memory: the client gets its 503 from the reply timeout.
      log::Error("http", "a reply was lost", {{"error", e.what()}});
    }
  }

 private:
  std::weak_ptr<HttpCore> server_;
  std::weak_ptr<HttpSession> session_;
  std::uint64_t number_;
  std::atomic_flag done_;
};

// Calls a handler that answers by `reply`; 500 where it throws.
void CallLater(const HttpLaterHandler& handler, const HttpRequest& request,
               const HttpReply& reply) {
  try {
    handler(request, reply);
  } catch (const std::exception& e) {
    log::Error("http", "a handler failed", {{"path", request.path}, {"error", e.what()}});
    reply(HttpErrorResponse(500, "the server failed to answer; its log says why"));
  }
}

}  // namespace

void HttpSession::Arm(milliseconds after) {
  timed_out_ = false;
  deadline_.expires_after(after);
  AwaitDeadline();
}

void HttpSession::AwaitDeadline() {
  deadline_.async_wait([self = shared_from_this()](error_code ec) {
    // A wait that completed just before it was armed again still arrives here: the expiry tells.
    if (ec || self->gone_) return;
    if (self->deadline_.expiry() > asio::steady_timer::clock_type::now()) return;
    self->timed_out_ = true;
    (void)self->socket_.cancel(ec);
    self->signal_.cancel();
    // An operation that has just completed cannot be cancelled, and the next one may begin before
    // anybody looks at timed_out_. So once more, until somebody has.
    self->deadline_.expires_after(kCancelAgain);
    self->AwaitDeadline();
  });
}

void HttpSession::Disarm() {
  deadline_.expires_at(asio::steady_timer::time_point::max());
}

void HttpSession::Abort() {
  gone_ = true;
  error_code ignored;
  (void)socket_.close(ignored);
  signal_.cancel();
  deadline_.cancel();
}

void HttpSession::OnStop() {
  if (idle_) Abort();
  if (streaming_) signal_.cancel();
  error_code ignored;
  if (uploading_) (void)socket_.cancel(ignored);
  if (on_stop_) on_stop_();
}

void HttpSession::SetReply(std::uint64_t number, HttpResponse response) {
  if (number != number_ || reply_) return;
  reply_ = std::move(response);
  signal_.cancel();
}

asio::awaitable<void> HttpSession::Work(HttpWorkers::Task task) {
  const auto guarded = [&task] {
    try {
      task();
    } catch (const std::exception& e) {
      log::Error("http", "a handler failed", {{"error", e.what()}});
    }
  };
  HttpWorkers* workers = server_.workers();
  if (workers == nullptr) {
    guarded();
    co_return;
  }
  bool done = false;
  const auto finished = [this, &done] {
    done = true;
    signal_.cancel();
  };
  workers->Post([this, &guarded, &finished] {
    guarded();
    for (;;) {
      try {
        asio::post(server_.io(), finished);
        return;
      } catch (const std::exception&) {
        // Out of memory. Nobody else can tell the session, which waits for this alone.
        std::this_thread::sleep_for(milliseconds(10));
      }
    }
  });
  while (!done) {
    signal_.expires_at(asio::steady_timer::time_point::max());
    co_await signal_.async_wait(kAwait);
  }
}

asio::awaitable<void> HttpSession::Run() {
  bool keep_alive = true;
  if (tls_) keep_alive = co_await Handshake();
  while (keep_alive && !gone_ && !server_.stopping()) {
    Parser parser;
    keep_alive = co_await ServeOne(&parser);
  }
  if (!gone_) co_await Linger();
  Disarm();
  error_code ignored;
  (void)socket_.close(ignored);
}

asio::awaitable<bool> HttpSession::Handshake() {
  Arm(server_.options().header_timeout);
  const error_code ec = co_await tls_->Handshake();
  Disarm();
  if (!ec && !timed_out_) co_return true;
  if (tls_->WasPlainHttp(ec) && !timed_out_) {
    tls_.reset();
    const HttpResponse hint = HttpErrorResponse(400, "this port speaks HTTPS: use https://");
    co_await Write(hint, false);
    co_return false;
  }
  log::Debug("http", "a TLS handshake failed", {{"error", ec.message()}});
  Abort();
  co_return false;
}

// Serves one request; whether another one may follow.
asio::awaitable<bool> HttpSession::ServeOne(Parser* parser) {
  ReadOutcome outcome = co_await ReadHead(parser);
  if (outcome == ReadOutcome::kClosed) co_return false;
  if (outcome == ReadOutcome::kRefused) {
    co_await Write(refusal_, false);
    co_return false;
  }
  std::optional<HttpResponse> refusal = Accept(parser);
  if (!refusal) refusal = FindRoute();
  bool keep_alive = parser->get().keep_alive() && !server_.stopping();
  if (!refusal && route_->upload) co_return co_await ServeUpload(parser, keep_alive);
  if (refusal && expects_) {
    // Whether the body comes all the same cannot be known.
    co_await Write(*refusal, false);
    co_return false;
  }
  const std::size_t limit =
      refusal ? server_.options().max_body_bytes
              : route_->options.max_body_bytes.value_or(server_.options().max_body_bytes);
  outcome = co_await ReadBody(parser, limit);
  if (outcome == ReadOutcome::kClosed) co_return false;
  if (outcome == ReadOutcome::kRefused) {
    co_await Write(refusal_, false);
    co_return false;
  }
  if (refusal) co_return co_await Write(*refusal, keep_alive) && keep_alive;
  request_.body = std::move(parser->get().body());
  co_return co_await Answer(keep_alive);
}

bool HttpSession::Parse(Parser* parser, std::size_t body_limit) {
  if (buffer_.size() == 0 || parser->is_done()) return true;
  error_code ec;
  buffer_.consume(parser->put(buffer_.data(), ec));
  if (ec == http::error::need_more) {
    ec = {};
    // The head of a chunk, which the parser itself does not limit.
    if (buffer_.size() > server_.options().max_header_bytes) ec = http::error::header_limit;
  }
  if (!ec) return true;
  refusal_ = ParseErrorResponse(ec, server_.options().max_header_bytes, body_limit);
  return false;
}

asio::awaitable<HttpSession::ReadOutcome> HttpSession::ReadHead(Parser* parser) {
  parser->header_limit(static_cast<std::uint32_t>(server_.options().max_header_bytes));
  parser->body_limit(boost::none);  // known once the route is
  parser->eager(false);
  idle_ = buffer_.size() == 0;
  head_ = false;
  expects_ = false;
  route_ = nullptr;
  Arm(idle_ ? server_.options().idle_timeout : server_.options().header_timeout);
  for (;;) {
    if (!Parse(parser, 0)) co_return ReadOutcome::kRefused;
    if (parser->is_header_done()) co_return ReadOutcome::kRequest;
    const bool filled = co_await Fill(kReadBytes);
    if (filled) continue;
    if (!timed_out_ || idle_) co_return ReadOutcome::kClosed;
    refusal_ = HttpErrorResponse(408, "the request did not arrive in time");
    co_return ReadOutcome::kRefused;
  }
}

// Leaves the body with the parser.
asio::awaitable<HttpSession::ReadOutcome> HttpSession::ReadBody(Parser* parser, std::size_t limit) {
  if (parser->is_done()) co_return ReadOutcome::kRequest;
  parser->eager(true);
  parser->body_limit(limit);
  if (parser->content_length().value_or(0) > limit) {
    refusal_ =
        ParseErrorResponse(http::error::body_limit, server_.options().max_header_bytes, limit);
    co_return ReadOutcome::kRefused;
  }
  Arm(server_.options().body_timeout);
  const bool asked = co_await SendContinue();
  if (!asked) co_return ReadOutcome::kClosed;
  for (;;) {
    if (!Parse(parser, limit)) co_return ReadOutcome::kRefused;
    if (parser->is_done()) co_return ReadOutcome::kRequest;
    const bool filled = co_await Fill(kReadBytes);
    if (filled) continue;
    if (!timed_out_) co_return ReadOutcome::kClosed;
    refusal_ = HttpErrorResponse(408, "the request did not arrive in time");
    co_return ReadOutcome::kRefused;
  }
}

// Tells a client that waits for it to send its body; false where it is gone.
asio::awaitable<bool> HttpSession::SendContinue() {
  if (!expects_ || buffer_.size() > 0) co_return true;
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(kContinue), asio::const_buffer()};
  const error_code ec = co_await WriteRaw(buffers);
  co_return !ec && !gone_ && !timed_out_;
}

// Reads what is there into buffer_; false where the peer closed, the connection failed or time is
// up.
asio::awaitable<bool> HttpSession::Fill(std::size_t bytes) {
  const Bytes got = co_await ReadSome(buffer_.prepare(bytes));
  if (got.first || gone_ || timed_out_) co_return false;
  buffer_.commit(got.second);
  if (idle_) {
    idle_ = false;
    Arm(server_.options().header_timeout);
  }
  co_return true;
}

// Makes request_ of the head; a response where it cannot be served.
std::optional<HttpResponse> HttpSession::Accept(Parser* parser) {
  auto& message = parser->get();
  request_ = {};
  ++number_;
  reply_.reset();
  request_.method = std::string(message.method_string());
  head_ = request_.method == "HEAD";
  int hosts = 0;
  for (const auto& field : message) {
    hosts += field.name() == http::field::host ? 1 : 0;
    request_.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  expects_ = EqualsIgnoringCase(request_.Header("Expect"), "100-continue") && !parser->is_done();
  std::optional<HttpTarget> target = ParseTarget(std::string_view(message.target()));
  if (!target) return HttpErrorResponse(400, "the request's target is malformed");
  // RFC 9112, section 3.2: exactly one Host from HTTP/1.1 on.
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) {
    return HttpErrorResponse(400, "the request needs exactly one Host header");
  }
  const std::string host =
      target->host.empty() ? std::string(request_.Header("Host")) : target->host;
  const bool no_host_needed = host.empty() && message.version() < 11;
  if (!no_host_needed &&
      !HostAllowed(host, server_.machine_name(), server_.options().allowed_hosts)) {
    return HttpErrorResponse(
        421,
        "this server does not answer to that host name: use its numeric address "
        "or localhost, or add the name to the allowed hosts");
  }
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  error_code ec;
  const tcp::endpoint remote = socket_.remote_endpoint(ec);
  if (!ec) {
    const std::string address = remote.address().to_string(ec);
    request_.remote = (remote.address().is_v6() ? "[" + address + "]" : address) + ":" +
                      std::to_string(remote.port());
  }
  if (tls_) {
    request_.peer_name = tls_->peer_name();
    request_.peer_fingerprint = tls_->peer_fingerprint();
  }
  return std::nullopt;
}

// Sets route_; a response where there is none.
std::optional<HttpResponse> HttpSession::FindRoute() {
  const HttpMethods* methods = server_.FindPath(request_.path);
  if (methods == nullptr) {
    methods = server_.FindPrefix(request_.path);
    if (methods == nullptr) return HttpErrorResponse(404, "there is nothing here");
    if (HasDotSegment(request_.path)) {
      return HttpErrorResponse(400, "the path has a segment \".\" or \"..\"");
    }
  }
  if (head_ && !methods->contains("HEAD")) request_.method = "GET";
  const auto found = methods->find(request_.method);
  const bool offered = found != methods->end() && !(head_ && found->second.takeover);
  if (offered) {
    route_ = &found->second;
    return std::nullopt;
  }
  HttpResponse response = HttpErrorResponse(405, "this method is not offered here");
  std::string allow;
  for (const auto& [method, route] : *methods) {
    allow += (allow.empty() ? "" : ", ") + method + (method == "GET" ? ", HEAD" : "");
  }
  response.headers.emplace_back("Allow", allow);
  return response;
}

asio::awaitable<bool> HttpSession::Answer(bool keep_alive) {
  if (route_->stream) {
    co_await ServeStream(route_->stream);
    co_return false;
  }
  if (route_->takeover) co_return co_await route_->takeover(*this, keep_alive);
  const HttpResponse response = co_await Call();
  keep_alive = keep_alive && !server_.stopping();
  co_return co_await Write(response, keep_alive) && keep_alive;
}

HttpReply HttpSession::NewReply() {
  auto pending =
      std::make_shared<PendingReply>(server_.weak_from_this(), weak_from_this(), number_);
  return [pending](HttpResponse response) { pending->Deliver(std::move(response)); };
}

asio::awaitable<HttpResponse> HttpSession::Call() {
  if (route_->now) {
    try {
      co_return route_->now(request_);
    } catch (const std::exception& e) {
      log::Error("http", "a handler failed", {{"path", request_.path}, {"error", e.what()}});
    }
    co_return HttpErrorResponse(500, "the server failed to answer; its log says why");
  }
  if (server_.workers() != nullptr) {
    // The answer may be overdue, and this gone, before the handler is.
    auto request = std::make_shared<HttpRequest>(std::move(request_));
    server_.workers()->Post([route = route_, request, reply = NewReply()] {
      CallLater(route->later, *request, reply);
    });
  } else {
    const HttpReply reply = NewReply();
    CallLater(route_->later, request_, reply);
  }
  co_return co_await AwaitReply();
}

asio::awaitable<HttpResponse> HttpSession::AwaitReply() {
  Arm(route_->options.reply_timeout.value_or(server_.options().reply_timeout));
  while (!reply_ && !timed_out_ && !gone_) {
    signal_.expires_at(asio::steady_timer::time_point::max());
    co_await signal_.async_wait(kAwait);
  }
  if (!reply_) co_return HttpErrorResponse(503, "the answer took too long");
  co_return std::move(*reply_);
}

}  // namespace selvedge
