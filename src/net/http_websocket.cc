// The server's side of WebSockets: the handshake, then a reader (the session's own coroutine), a
// writer, and a pulse that notices a client that is gone.

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "net/http_message.h"
#include "net/http_session.h"
#include "net/websocket_frame.h"

namespace selvedge {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 8 * 1024;
// For the other side to say goodbye too.
constexpr std::chrono::milliseconds kGoodbyeTime{2000};

class Conversation;

// What everybody may hold: a bounded queue, and a way to wake the writer.
class ServerWebSocket : public WebSocket, public std::enable_shared_from_this<ServerWebSocket> {
 public:
  using Text = std::shared_ptr<const std::string>;
  using WebSocket::Send;

  ServerWebSocket(const WebSocketOptions& options, std::weak_ptr<HttpCore> server)
      : options_(options), server_(std::move(server)) {}

  void set_conversation(std::weak_ptr<Conversation> conversation) {
    const std::lock_guard lock(mutex_);
    conversation_ = std::move(conversation);
  }

  bool Send(Text text) override;
  void Close(int code, std::string_view reason) override;
  bool open() const override {
    const std::lock_guard lock(mutex_);
    return open_;
  }
  std::size_t queued() const override {
    const std::lock_guard lock(mutex_);
    return queue_.size();
  }

  // For the conversation.
  struct Next {
    Text text;           // null where nothing is to be sent
    bool close = false;  // after everything that was queued
    int code = 0;
    std::string reason;
  };
  Next Take();
  // Takes nothing more, and drops what is queued.
  void Shut(int code, std::string_view reason) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(open_, false)) {
      code_ = code;
      reason_ = reason;
    }
    queue_.clear();
    bytes_ = 0;
  }

 private:
  void Wake();

  const WebSocketOptions options_;
  const std::weak_ptr<HttpCore> server_;
  mutable std::mutex mutex_;
  std::weak_ptr<Conversation> conversation_;
  std::deque<Text> queue_;
  std::size_t bytes_ = 0;
  bool open_ = true;
  bool woken_ = false;
  int code_ = 0;
  std::string reason_;
};

// On the I/O thread; kept by the coroutines that it consists of.
class Conversation : public std::enable_shared_from_this<Conversation> {
 public:
  Conversation(HttpSession* session, const WebSocketOptions& options, WebSocketAccepted accepted)
      : session_(session->shared_from_this()),
        options_(options),
        accepted_(std::move(accepted)),
        handle_(std::make_shared<ServerWebSocket>(options, session->server().weak_from_this())),
        parser_(WebSocketParser::Side::kServer, options.max_message_bytes),
        wake_(session->server().io()),
        written_(session->server().io()),
        pulse_(session->server().io()),
        write_deadline_(session->server().io()) {}

  asio::awaitable<void> Run();
  void WakeWriter() { wake_.cancel(); }

 private:
  asio::awaitable<void> Read();
  asio::awaitable<bool> TakeEvents();
  asio::awaitable<void> Write();
  asio::awaitable<bool> SendAll();
  asio::awaitable<bool> SendFrame(WebSocketOpcode opcode, std::string_view payload);
  asio::awaitable<void> Callback(HttpWorkers::Task task);
  void StartPulse();
  void End(int code, std::string_view reason);

  const std::shared_ptr<HttpSession> session_;
  const WebSocketOptions options_;
  const WebSocketAccepted accepted_;
  const std::shared_ptr<ServerWebSocket> handle_;
  WebSocketParser parser_;
  asio::steady_timer wake_;     // cancelled to wake the writer
  asio::steady_timer written_;  // cancelled when the writer ends
  asio::steady_timer pulse_;
  asio::steady_timer write_deadline_;
  bool heard_ = true;     // since the last pulse
  bool working_ = false;  // a callback is running: nothing can be heard
  bool asked_ = false;
  std::optional<std::string> ping_;  // to be sent
  std::optional<std::string> pong_;  // to be sent
  bool writing_ = false;
  int end_code_ = 0;  // what on_close is told
  std::string end_reason_;
};

bool ServerWebSocket::Send(Text text) {
  if (!text) return false;
  {
    const std::lock_guard lock(mutex_);
    if (!open_ || queue_.size() >= options_.max_queued_messages ||
        text->size() > options_.max_queued_bytes - bytes_) {
      return false;
    }
    bytes_ += text->size();
    queue_.push_back(std::move(text));
  }
  Wake();
  return true;
}

void ServerWebSocket::Close(int code, std::string_view reason) {
  {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    open_ = false;
    code_ = code;
    reason_ = reason;
  }
  Wake();
}

void ServerWebSocket::Wake() {
  const std::shared_ptr<HttpCore> server = server_.lock();
  if (!server) return;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(woken_, true)) return;
  }
  try {
    asio::post(server->io(), [self = shared_from_this()] {
      std::shared_ptr<Conversation> conversation;
      {
        const std::lock_guard lock(self->mutex_);
        self->woken_ = false;
        conversation = self->conversation_.lock();
      }
      if (conversation) conversation->WakeWriter();
    });
  } catch (const std::exception&) {
    const std::lock_guard lock(mutex_);
    woken_ = false;  // out of memory: the next message, or the pulse, wakes it
  }
}

ServerWebSocket::Next ServerWebSocket::Take() {
  const std::lock_guard lock(mutex_);
  Next next;
  if (!queue_.empty()) {
    next.text = std::move(queue_.front());
    queue_.pop_front();
    bytes_ -= next.text->size();
  } else if (!open_) {
    next.close = true;
    next.code = code_;
    next.reason = reason_;
  }
  return next;
}

void Conversation::End(int code, std::string_view reason) {
  if (end_code_ != 0) return;
  end_code_ = code;
  end_reason_ = reason;
}

asio::awaitable<void> Conversation::Run() {
  const auto self = shared_from_this();
  handle_->set_conversation(weak_from_this());
  session_->Disarm();
  session_->set_on_stop([weak = weak_from_this()] {
    const auto alive = weak.lock();
    if (alive) alive->handle_->Close(1001, "the server stops");
  });
  if (session_->server().stopping()) handle_->Close(1001, "the server stops");
  writing_ = true;
  asio::co_spawn(session_->server().io(), [self] { return self->Write(); }, asio::detached);
  StartPulse();
  if (accepted_.on_open) {
    co_await Callback([this] { accepted_.on_open(handle_); });
  }
  co_await Read();
  handle_->Shut(1006, {});
  WakeWriter();
  while (writing_) {
    written_.expires_at(asio::steady_timer::time_point::max());
    co_await written_.async_wait(kAwait);
  }
  pulse_.cancel();
  write_deadline_.cancel();
  End(1006, "the connection went");
  session_->set_on_stop(nullptr);
  if (accepted_.on_close) {
    co_await Callback([this] { accepted_.on_close(end_code_, end_reason_); });
  }
}

asio::awaitable<void> Conversation::Callback(HttpWorkers::Task task) {
  working_ = true;
  co_await session_->Work(std::move(task));
  working_ = false;
  heard_ = true;
}

// Until the connection is gone, the client has said goodbye, or what it says cannot be read.
asio::awaitable<void> Conversation::Read() {
  auto& buffer = session_->buffer();  // what came with the request
  parser_.Feed({static_cast<const char*>(buffer.data().data()), buffer.size()});
  buffer.consume(buffer.size());
  std::string bytes(kReadBytes, '\0');
  while (!session_->gone()) {
    const bool more = co_await TakeEvents();
    if (!more) co_return;
    const HttpSession::Bytes got = co_await session_->ReadSome(asio::buffer(bytes));
    if (got.first) {
      session_->Abort();
      co_return;
    }
    heard_ = true;
    parser_.Feed(std::string_view(bytes).substr(0, got.second));
  }
}

// What the parser has; false where no more is to be read.
asio::awaitable<bool> Conversation::TakeEvents() {
  for (;;) {
    std::optional<WebSocketParser::Event> event = parser_.Next();
    if (!event) break;
    switch (event->kind) {
      case WebSocketParser::Kind::kText:
        // Who has been told goodbye is heard no more.
        if (accepted_.on_message && handle_->open()) {
          co_await Callback([this, &event] { accepted_.on_message(event->payload); });
        }
        break;
      case WebSocketParser::Kind::kPing:
        // Of several that came before it could be answered the last one counts (section 5.5.3).
        pong_ = std::move(event->payload);
        WakeWriter();
        break;
      case WebSocketParser::Kind::kPong: break;
      case WebSocketParser::Kind::kClose:
        End(event->code, event->payload);
        handle_->Shut(event->code, {});
        co_return false;
    }
    if (session_->gone()) co_return false;
  }
  if (parser_.failed() == 0) co_return true;
  End(parser_.failed(), "the client's message could not be taken");
  handle_->Shut(parser_.failed(), "the message could not be taken");
  co_return false;
}

asio::awaitable<bool> Conversation::SendFrame(WebSocketOpcode opcode, std::string_view payload) {
  const std::string head = WebSocketFrameHead(opcode, payload.size());
  write_deadline_.expires_after(options_.write_timeout);
  write_deadline_.async_wait([weak = weak_from_this()](error_code ec) {
    const auto alive = weak.lock();
    if (ec || !alive || alive->write_deadline_.expiry() > asio::steady_timer::clock_type::now()) {
      return;
    }
    alive->session_->Abort();
  });
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(payload)};
  const error_code ec = co_await session_->WriteRaw(buffers);
  write_deadline_.expires_at(asio::steady_timer::time_point::max());
  if (ec) session_->Abort();
  co_return !ec && !session_->gone();
}

asio::awaitable<void> Conversation::Write() {
  const auto self = shared_from_this();
  const bool said_goodbye = co_await SendAll();
  writing_ = false;
  written_.cancel();
  if (!said_goodbye || session_->gone()) co_return;
  if (session_->server().stopping()) {
    session_->Abort();
    co_return;
  }
  // The reader ends with the other side's goodbye, or when the time for it is over.
  write_deadline_.expires_after(kGoodbyeTime);
  write_deadline_.async_wait([weak = weak_from_this()](error_code ec) {
    const auto alive = weak.lock();
    if (!ec && alive) alive->session_->Abort();
  });
}

// Until goodbye is said (true) or the connection is gone.
asio::awaitable<bool> Conversation::SendAll() {
  bool going = true;
  while (going && !session_->gone()) {
    if (pong_) {
      const std::string payload = *std::exchange(pong_, std::nullopt);
      going = co_await SendFrame(WebSocketOpcode::kPong, payload);
      continue;
    }
    if (ping_) {
      const std::string payload = *std::exchange(ping_, std::nullopt);
      going = co_await SendFrame(WebSocketOpcode::kPing, payload);
      continue;
    }
    const ServerWebSocket::Next next = handle_->Take();
    if (next.text) {
      going = co_await SendFrame(WebSocketOpcode::kText, *next.text);
    } else if (next.close) {
      End(next.code, next.reason);
      const std::string payload = WebSocketClosePayload(next.code, next.reason);
      co_return co_await SendFrame(WebSocketOpcode::kClose, payload);
    } else {
      wake_.expires_at(asio::steady_timer::time_point::max());
      co_await wake_.async_wait(kAwait);
    }
  }
  co_return false;
}

void Conversation::StartPulse() {
  pulse_.expires_after(options_.ping_interval);
  pulse_.async_wait([weak = weak_from_this()](error_code ec) {
    const auto self = weak.lock();
    if (ec || !self || self->session_->gone()) return;
    if (!self->heard_ && !self->working_ && self->asked_) {
      self->End(1006, "the client does not answer");
      self->session_->Abort();
      return;
    }
    self->asked_ = !self->heard_ && !self->working_;
    if (self->asked_) {
      self->ping_ = std::string();
      self->WakeWriter();
    }
    self->heard_ = false;
    self->StartPulse();
  });
}

// The answer to a request that is no proper opening of a WebSocket.
std::optional<HttpResponse> CheckOpening(const HttpRequest& request, const HttpCore& server) {
  if (!ListHasWord(request.Header("Upgrade"), "websocket") ||
      !ListHasWord(request.Header("Connection"), "Upgrade")) {
    HttpResponse response = HttpErrorResponse(426, "this address is for a WebSocket");
    response.headers.emplace_back("Upgrade", "websocket");
    return response;
  }
  if (request.Header("Sec-WebSocket-Version") != "13") {
    HttpResponse response = HttpErrorResponse(426, "only version 13 of WebSockets is spoken");
    response.headers.emplace_back("Sec-WebSocket-Version", "13");
    return response;
  }
  if (!IsWebSocketKey(request.Header("Sec-WebSocket-Key"))) {
    return HttpErrorResponse(400, "the WebSocket's key is malformed");
  }
  std::string_view origin = request.Header("Origin");
  if (origin.empty()) return std::nullopt;
  const std::size_t scheme = origin.find("://");
  if (scheme != std::string_view::npos) origin.remove_prefix(scheme + 3);
  if (HostAllowed(origin, server.machine_name(), server.options().allowed_hosts)) {
    return std::nullopt;
  }
  return HttpErrorResponse(403, "a page of another site may not talk to this server");
}

std::string OpeningAnswer(const HttpRequest& request, const std::string& subprotocol) {
  std::string head =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
      WebSocketAcceptKey(request.Header("Sec-WebSocket-Key")) + "\r\n";
  const std::vector<std::string> offered =
      WebSocketProtocols(request.Header("Sec-WebSocket-Protocol"));
  // One that was not offered would end the conversation in the client.
  if (std::find(offered.begin(), offered.end(), subprotocol) != offered.end()) {
    head += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n";
  }
  return head + "\r\n";
}

class WebSocketPlace {
 public:
  explicit WebSocketPlace(HttpCore* server) : server_(server) {}
  ~WebSocketPlace() { server_->GiveStreamPlace(); }
  WebSocketPlace(const WebSocketPlace&) = delete;
  WebSocketPlace& operator=(const WebSocketPlace&) = delete;

 private:
  HttpCore* server_;
};

struct WebSocketRoute {
  HttpWebSocketHandler handler;
  WebSocketOptions options;
};

asio::awaitable<bool> ServeWebSocket(std::shared_ptr<HttpSession> session,
                                     std::shared_ptr<const WebSocketRoute> route, bool keep_alive) {
  HttpCore& server = session->server();
  const std::optional<HttpResponse> refusal = CheckOpening(session->request(), server);
  if (refusal) co_return co_await session->Write(*refusal, keep_alive) && keep_alive;
  HttpWebSocket answer = HttpErrorResponse(500, "the server failed to answer; its log says why");
  session->Disarm();
  co_await session->Work([&] { answer = route->handler(session->request()); });
  if (const auto* no = std::get_if<HttpResponse>(&answer)) {
    co_return co_await session->Write(*no, keep_alive) && keep_alive;
  }
  if (session->gone() || server.stopping()) co_return false;
  if (!server.TakeStreamPlace()) {
    const HttpResponse full =
        HttpErrorResponse(503, "there are too many watchers already; close one of them");
    co_return co_await session->Write(full, keep_alive) && keep_alive;
  }
  const WebSocketPlace place(&server);
  WebSocketAccepted accepted = std::move(std::get<WebSocketAccepted>(answer));
  const std::string head = OpeningAnswer(session->request(), accepted.subprotocol);
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::const_buffer()};
  const bool opened = co_await session->WriteAll(buffers);
  if (!opened) co_return false;
  const auto conversation =
      std::make_shared<Conversation>(session.get(), route->options, std::move(accepted));
  co_await conversation->Run();
  co_return false;
}

}  // namespace

void HttpServer::HandleWebSocket(std::string_view path, HttpWebSocketHandler handler,
                                 WebSocketOptions options) {
  auto route = std::make_shared<const WebSocketRoute>(std::move(handler), options);
  core_->AddRoute("GET", path).takeover = [route](HttpSession& session, bool keep_alive) {
    return ServeWebSocket(session.shared_from_this(), route, keep_alive);
  };
}

}  // namespace selvedge
