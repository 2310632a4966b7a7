#include "net/http_session.h"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

#include "base/log.h"
#include "net/http_message.h"

namespace selvedge {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

class HttpSession::Parser : public http::request_parser<http::string_body> {};

namespace {

// Operations return (error_code, result...) instead of throwing.
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kCancelAgain{20};
constexpr std::size_t kReadBytes = 16 * 1024;
// How much of an unwanted request is read away after the answer, so that the client sees the answer
// and no reset.
constexpr std::size_t kMaxLingerBytes = 1024 * 1024;
// Bounds how many seconds of old pictures the kernel holds for a slow watcher.
constexpr int kStreamSendBuffer = 256 * 1024;

// The answer to a request that could not be parsed.
HttpResponse ParseErrorResponse(const error_code& ec, const HttpServerOptions& options) {
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return HttpErrorResponse(431, "the request's header is larger than " +
                                      std::to_string(options.max_header_bytes) + " bytes");
  }
  if (ec == http::error::body_limit) {
    return HttpErrorResponse(413, "the request's body is larger than " +
                                      std::to_string(options.max_body_bytes) + " bytes");
  }
  if (ec == http::error::bad_version)
    return HttpErrorResponse(505, "only HTTP/1.0 and 1.1 are spoken");
  if (ec == http::error::bad_transfer_encoding) {
    return HttpErrorResponse(501, "no transfer encoding but chunked is understood");
  }
  return HttpErrorResponse(400, "the request is not HTTP: " + ec.message());
}

// A watcher's place in the server's count and in the stream's, given back whatever happens.
class StreamPlace {
 public:
  StreamPlace(HttpCore* server, HttpStream* stream) : server_(server), stream_(stream) {
    stream_->AddSubscriber();
  }
  ~StreamPlace() {
    stream_->RemoveSubscriber();
    server_->GiveStreamPlace();
  }
  StreamPlace(const StreamPlace&) = delete;
  StreamPlace& operator=(const StreamPlace&) = delete;

 private:
  HttpCore* server_;
  HttpStream* stream_;
};

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
    self->socket_.cancel(ec);
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
  socket_.close(ignored);
  signal_.cancel();
  deadline_.cancel();
}

void HttpSession::OnStop() {
  if (idle_) Abort();
  if (streaming_) signal_.cancel();
}

void HttpSession::SetReply(std::uint64_t number, HttpResponse response) {
  if (number != number_ || reply_) return;
  reply_ = std::move(response);
  signal_.cancel();
}

asio::awaitable<void> HttpSession::Run() {
  bool keep_alive = true;
  while (keep_alive && !gone_ && !server_.stopping()) {
    Parser parser;
    const ReadOutcome outcome = co_await ReadRequest(&parser);
    if (outcome == ReadOutcome::kClosed) break;
    if (outcome == ReadOutcome::kRefused) {
      co_await Write(refusal_, false);
      co_await Linger();
      break;
    }
    std::optional<HttpResponse> refusal = Accept(&parser);
    keep_alive = parser.get().keep_alive() && !server_.stopping();
    if (refusal) {
      keep_alive = co_await Write(*refusal, keep_alive) && keep_alive;
    } else {
      keep_alive = co_await Answer(keep_alive);
    }
  }
  if (!gone_) co_await Linger();
  Disarm();
  error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<HttpSession::ReadOutcome> HttpSession::ReadRequest(Parser* parser) {
  parser->header_limit(static_cast<std::uint32_t>(server_.options().max_header_bytes));
  parser->body_limit(server_.options().max_body_bytes);
  parser->eager(true);
  bool header_done = false;
  idle_ = buffer_.size() == 0;
  head_ = false;
  if (!idle_) Arm(server_.options().header_timeout);  // pipelined: it has begun
  for (;;) {
    error_code ec;
    if (buffer_.size() > 0) {
      buffer_.consume(parser->put(buffer_.data(), ec));
      if (ec == http::error::need_more) ec = {};
      if (ec) {
        refusal_ = ParseErrorResponse(ec, server_.options());
        co_return ReadOutcome::kRefused;
      }
      if (parser->is_done()) co_return ReadOutcome::kRequest;
    }
    if (parser->is_header_done() && !header_done) {
      header_done = true;
      Arm(server_.options().body_timeout);
      const auto expect = parser->get()[http::field::expect];
      if (EqualsIgnoringCase(expect, "100-continue")) {
        static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(socket_, asio::buffer(kContinue), kAwait);
      }
    }
    if (!co_await Fill(idle_)) {
      if (!timed_out_ || idle_) co_return ReadOutcome::kClosed;
      refusal_ = HttpErrorResponse(408, "the request did not arrive in time");
      co_return ReadOutcome::kRefused;
    }
  }
}

// Reads what is there into buffer_; false where the peer closed, the connection failed or time is
// up.
asio::awaitable<bool> HttpSession::Fill(bool idle) {
  if (idle) Arm(server_.options().idle_timeout);
  auto [ec, bytes] = co_await socket_.async_read_some(buffer_.prepare(kReadBytes), kAwait);
  if (ec || gone_ || timed_out_) co_return false;
  buffer_.commit(bytes);
  if (idle) {
    idle_ = false;
    Arm(server_.options().header_timeout);
  }
  co_return true;
}

// Makes request_ of what was parsed; a response where it cannot be served.
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
  request_.body = std::move(message.body());
  error_code ec;
  const tcp::endpoint remote = socket_.remote_endpoint(ec);
  if (!ec) {
    const std::string address = remote.address().to_string(ec);
    request_.remote = (remote.address().is_v6() ? "[" + address + "]" : address) + ":" +
                      std::to_string(remote.port());
  }
  return std::nullopt;
}

asio::awaitable<bool> HttpSession::Answer(bool keep_alive) {
  const auto* methods = server_.FindPath(request_.path);
  if (methods == nullptr) {
    const HttpResponse response = HttpErrorResponse(404, "there is nothing here");
    co_return co_await Write(response, keep_alive) && keep_alive;
  }
  if (head_ && !methods->contains("HEAD")) request_.method = "GET";
  const auto found = methods->find(request_.method);
  if (found == methods->end()) {
    HttpResponse response = HttpErrorResponse(405, "this method is not offered here");
    std::string allow;
    for (const auto& [method, route] : *methods) {
      allow += (allow.empty() ? "" : ", ") + method + (method == "GET" ? ", HEAD" : "");
    }
    response.headers.emplace_back("Allow", allow);
    co_return co_await Write(response, keep_alive) && keep_alive;
  }
  if (found->second.stream) {
    co_await ServeStream(found->second.stream);
    co_return false;
  }
  const HttpResponse response = co_await Call(found->second);
  keep_alive = keep_alive && !server_.stopping();
  co_return co_await Write(response, keep_alive) && keep_alive;
}

asio::awaitable<HttpResponse> HttpSession::Call(const HttpRoute& route) {
  try {
    if (route.now) co_return route.now(request_);
    auto pending =
        std::make_shared<PendingReply>(server_.weak_from_this(), weak_from_this(), number_);
    route.later(request_,
                [pending](HttpResponse response) { pending->Deliver(std::move(response)); });
  } catch (const std::exception& e) {
    log::Error("http", "a handler failed", {{"path", request_.path}, {"error", e.what()}});
    co_return HttpErrorResponse(500, "the server failed to answer; its log says why");
  }
  Arm(server_.options().reply_timeout);
  while (!reply_ && !timed_out_ && !gone_) {
    signal_.expires_at(asio::steady_timer::time_point::max());
    co_await signal_.async_wait(kAwait);
  }
  if (!reply_) co_return HttpErrorResponse(503, "the answer took too long");
  co_return std::move(*reply_);
}

asio::awaitable<bool> HttpSession::Write(const HttpResponse& response, bool keep_alive) {
  const std::string head =
      ResponseHead(response, static_cast<long long>(response.body.size()), keep_alive);
  const bool body = !head_ && response.status != 204 && response.status != 304;
  co_return co_await WriteAll(
      {asio::buffer(head), body ? asio::buffer(response.body) : asio::const_buffer()});
}

asio::awaitable<bool> HttpSession::WriteAll(std::array<asio::const_buffer, 2> buffers) {
  Arm(server_.options().write_timeout);
  auto [ec, bytes] = co_await asio::async_write(socket_, buffers, kAwait);
  Disarm();
  co_return !ec && !timed_out_ && !gone_;
}

asio::awaitable<void> HttpSession::ServeStream(std::shared_ptr<HttpStream> stream) {
  if (stream->Read().ended) {
    const HttpResponse response = HttpErrorResponse(503, "the stream has ended");
    co_await Write(response, false);
    co_return;
  }
  if (!server_.TakeStreamPlace()) {
    const HttpResponse response =
        HttpErrorResponse(503, "there are too many watchers already; close one of them");
    co_await Write(response, false);
    co_return;
  }
  const StreamPlace place(&server_, stream.get());
  streaming_ = true;
  error_code ignored;
  socket_.set_option(asio::socket_base::send_buffer_size(kStreamSendBuffer), ignored);
  HttpResponse response;
  response.content_type = stream->content_type();
  const std::string head = ResponseHead(response, -1, false);
  const bool sent = co_await WriteAll(
      {asio::buffer(head), head_ ? asio::const_buffer() : asio::buffer(stream->preamble())});
  if (sent && !head_) {
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->WatchPeer(); },
        asio::detached);
    co_await SendChunks(stream.get());
  }
  streaming_ = false;
  if (head_) co_return;
  // Ends WatchPeer too. What the peer has not read by now it did not want.
  Abort();
}

asio::awaitable<void> HttpSession::SendChunks(HttpStream* stream) {
  std::uint64_t seen = 0;
  while (!gone_ && !server_.stopping()) {
    const HttpStream::Latest latest = stream->Read();
    if (latest.ended) co_return;
    if (latest.chunk && latest.version != seen) {
      seen = latest.version;
      if (!co_await WriteAll({asio::buffer(*latest.chunk), asio::const_buffer()})) co_return;
      continue;
    }
    // A Publish from here on posts a wake-up, which cannot run before this coroutine waits.
    signal_.expires_at(asio::steady_timer::time_point::max());
    co_await signal_.async_wait(kAwait);
  }
}

// A client that goes while there is nothing to send is only noticed by reading.
asio::awaitable<void> HttpSession::WatchPeer() {
  std::array<char, 1024> scratch;
  std::size_t total = 0;
  while (!gone_ && total < kReadBytes) {
    auto [ec, bytes] = co_await socket_.async_read_some(asio::buffer(scratch), kAwait);
    if (ec) {
      // Cancelled by the deadline of a write: SendChunks sees that itself.
      break;
    }
    total += bytes;
  }
  Abort();
}

// Ends our side, then reads what is still on its way for a moment: closing with unread bytes would
// reset the connection, and the client might never see the answer.
asio::awaitable<void> HttpSession::Linger() {
  error_code ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  if (ec) co_return;
  Arm(milliseconds(1000));
  std::array<char, 4096> scratch;
  std::size_t total = 0;
  idle_ = true;  // a Stop need not wait for this
  while (!gone_ && total < kMaxLingerBytes) {
    auto [read_error, bytes] = co_await socket_.async_read_some(asio::buffer(scratch), kAwait);
    if (read_error) break;
    total += bytes;
  }
  Abort();
}

}  // namespace selvedge
