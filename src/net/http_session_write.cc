// HttpSession's writing: responses, files, streams, and the end of a connection.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "base/log.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace selvedge {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// How much of an unwanted request is read away after the answer, so that the client sees the answer
// and no reset.
constexpr std::size_t kMaxLingerBytes = 1024 * 1024;
constexpr std::size_t kMaxWatcherBytes = 16 * 1024;
// Bounds how many seconds of old pictures the kernel holds for a slow watcher.
constexpr int kStreamSendBuffer = 256 * 1024;
constexpr std::size_t kFileBytes = 64 * 1024;

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

}  // namespace

asio::awaitable<HttpSession::Bytes> HttpSession::ReadSome(asio::mutable_buffer buffer) {
  if (tls_) co_return co_await tls_->ReadSome(buffer);
  auto [ec, bytes] = co_await socket_.async_read_some(asio::buffer(buffer), kAwait);
  co_return Bytes(ec, bytes);
}

asio::awaitable<error_code> HttpSession::WriteRaw(std::array<asio::const_buffer, 2> buffers) {
  if (tls_) co_return co_await tls_->Write(buffers);
  auto [ec, bytes] = co_await asio::async_write(socket_, buffers, kAwait);
  co_return ec;
}

asio::awaitable<bool> HttpSession::WriteWithin(milliseconds limit,
                                               std::array<asio::const_buffer, 2> buffers) {
  Arm(limit);
  const error_code ec = co_await WriteRaw(buffers);
  Disarm();
  co_return !ec && !timed_out_ && !gone_;
}

asio::awaitable<bool> HttpSession::WriteAll(std::array<asio::const_buffer, 2> buffers) {
  co_return co_await WriteWithin(server_.options().write_timeout, buffers);
}

asio::awaitable<bool> HttpSession::Write(const HttpResponse& response, bool keep_alive) {
  const std::uint64_t length = response.file ? response.file_length : response.body.size();
  const std::string head = ResponseHead(response, static_cast<long long>(length), keep_alive);
  const bool body = !head_ && response.status != 204 && response.status != 304;
  if (body && response.file) co_return co_await WriteFile(response, head);
  const std::array<asio::const_buffer, 2> buffers{
      asio::buffer(head), body ? asio::buffer(response.body) : asio::const_buffer()};
  co_return co_await WriteAll(buffers);
}

asio::awaitable<bool> HttpSession::WriteFile(const HttpResponse& response,
                                             const std::string& head) {
  const std::shared_ptr<const HttpFile> file = response.file;
  std::string piece(std::min<std::uint64_t>(kFileBytes, response.file_length), '\0');
  std::uint64_t sent = 0;
  do {
    const std::size_t wanted = std::min<std::uint64_t>(piece.size(), response.file_length - sent);
    Result<std::size_t> got = 0;
    co_await Work([&got, &file, &piece, wanted, offset = response.file_offset + sent] {
      got = file->ReadAt(offset, piece.data(), wanted);
    });
    if (gone_) co_return false;
    if (!got || *got < wanted) {
      log::Error("http", "a file could not be sent",
                 {{"path", request_.path},
                  {"error", got ? std::string("it became shorter") : got.error().message()}});
      Abort();  // the client sees that something is missing
      co_return false;
    }
    const std::array<asio::const_buffer, 2> buffers{
        sent == 0 ? asio::buffer(head) : asio::const_buffer(), asio::buffer(piece, wanted)};
    sent += wanted;
    const bool written = co_await WriteWithin(server_.options().body_timeout, buffers);
    if (!written) co_return false;
  } while (sent < response.file_length);
  co_return true;
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
  const std::array<asio::const_buffer, 2> buffers{
      asio::buffer(head), head_ ? asio::const_buffer() : asio::buffer(stream->preamble())};
  const bool sent = co_await WriteAll(buffers);
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
      const std::array<asio::const_buffer, 2> buffers{asio::buffer(*latest.chunk),
                                                      asio::const_buffer()};
      const bool sent = co_await WriteAll(buffers);
      if (!sent) co_return;
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
  while (!gone_ && total < kMaxWatcherBytes) {
    const Bytes got = co_await ReadSome(asio::buffer(scratch));
    if (got.first) {
      // Cancelled by the deadline of a write: SendChunks sees that itself.
      break;
    }
    total += got.second;
  }
  Abort();
}

// Ends our side, then reads what is still on its way for a moment: closing with unread bytes would
// reset the connection, and the client might never see the answer.
asio::awaitable<void> HttpSession::Linger() {
  error_code ec;
  Arm(milliseconds(1000));
  idle_ = true;  // a Stop need not wait for this
  if (tls_) co_await tls_->SayGoodbye();
  if (gone_ || timed_out_) {
    Abort();
    co_return;
  }
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  std::array<char, 4096> scratch;
  std::size_t total = 0;
  while (!ec && !gone_ && !timed_out_ && total < kMaxLingerBytes) {
    auto [read_error, bytes] = co_await socket_.async_read_some(asio::buffer(scratch), kAwait);
    if (read_error) break;
    total += bytes;
  }
  Abort();
}

}  // namespace selvedge
