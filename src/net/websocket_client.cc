#include "net/websocket_client.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <random>

#include "net/http_curl.h"
#include "net/http_message.h"
#include "net/websocket_frame.h"

namespace selvedge {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kSlice{100};  // how long a stop_token may go unheard
constexpr milliseconds kSendTime{10'000};
constexpr milliseconds kGoodbyeTime{500};
constexpr std::size_t kMaxHead = 64 * 1024;

milliseconds Left(SteadyClock::time_point until) {
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(until - SteadyClock::now()));
}

bool HasBreak(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

class WebSocketClient::Core {
 public:
  Core(CurlHandle handle, const WebSocketClientOptions& options, UrlParts url)
      : handle_(std::move(handle)),
        options_(options),
        url_(std::move(url)),
        parser_(WebSocketParser::Side::kClient, options.max_message_bytes) {}

  Status Connect(const std::stop_token& stop);
  Result<std::optional<std::string>> Next(milliseconds timeout, const std::stop_token& stop);
  Status Send(WebSocketOpcode opcode, std::string_view payload, SteadyClock::time_point until);
  void Close();
  const std::string& subprotocol() const { return subprotocol_; }

 private:
  static int OnProgress(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
  }
  Result<std::string> OpeningRequest(const std::string& key) const;
  Result<std::string> ReadHead(SteadyClock::time_point until, const std::stop_token& stop);
  Status TakeHead(const std::string& head, const std::string& key);
  // Sends bytes as they are.
  Status SendBytes(std::string_view bytes, SteadyClock::time_point until);
  // What is there; empty where nothing is. An error where the connection is over.
  Result<std::string> Receive();
  bool Await(short events, milliseconds at_most) const;
  std::optional<std::string> TakeEvents();
  // What ended the conversation, remembered.
  Status End(Status status);
  Status ended() {
    const std::lock_guard lock(end_mutex_);
    return end_;
  }

  std::mutex curl_mutex_;  // a handle is for one thread at a time
  CurlHandle handle_;
  const WebSocketClientOptions options_;
  const UrlParts url_;
  char detail_[CURL_ERROR_SIZE] = {};
  curl_socket_t socket_ = CURL_SOCKET_BAD;
  std::string subprotocol_;
  WebSocketParser parser_;  // Next's
  std::mutex send_mutex_;   // frames whole, one after another
  std::mutex end_mutex_;
  Status end_;
  std::atomic<bool> said_goodbye_{false};
};

Status WebSocketClient::Core::End(Status status) {
  const std::lock_guard lock(end_mutex_);
  if (end_.ok()) end_ = std::move(status);
  return end_;
}

bool WebSocketClient::Core::Await(short events, milliseconds at_most) const {
  pollfd waiting{socket_, events, 0};
  return poll(&waiting, 1, static_cast<int>(at_most.count())) > 0;
}

Result<std::string> WebSocketClient::Core::OpeningRequest(const std::string& key) const {
  const bool usual = (url_.scheme == "https" && url_.port == "443") ||
                     (url_.scheme == "http" && url_.port == "80");
  std::string head =
      "GET " + url_.path + " HTTP/1.1\r\nHost: " + (usual ? url_.host : url_.authority()) +
      "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "User-Agent: selvedge\r\nSec-WebSocket-Key: " +
      key + "\r\n";
  std::string offered;
  for (const std::string& name : options_.subprotocols) {
    offered += (offered.empty() ? "" : ", ") + name;
  }
  bool proper = !HasBreak(offered);
  if (!offered.empty()) head += "Sec-WebSocket-Protocol: " + offered + "\r\n";
  for (const auto& [name, value] : options_.headers) {
    proper = proper && !HasBreak(name) && !HasBreak(value);
    head.append(name).append(": ").append(value).append("\r\n");
  }
  if (!proper) return Err(InvalidArgumentError("a header of the request has a line break in it"));
  return head + "\r\n";
}

Status WebSocketClient::Core::Connect(const std::stop_token& stop) {
  CURL* handle = handle_.get();
  SELVEDGE_RETURN_IF_ERROR(
      SetUpConnection(handle, options_.tls, options_.proxy, url_, /*with_identity=*/true));
  const auto until = SteadyClock::now() + options_.connect_timeout;
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail_);
  curl_easy_setopt(handle, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTPPROXYTUNNEL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &Core::OnProgress);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &stop);
  CURLcode code = CURLE_OK;
  {
    const SigpipeGuard guard;
    code = curl_easy_perform(handle);
  }
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 1L);
  if (code == CURLE_OK) code = curl_easy_getinfo(handle, CURLINFO_ACTIVESOCKET, &socket_);
  if (code != CURLE_OK) return CurlError(code, detail_, url_);
  const std::string key = NewWebSocketKey();
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string request, OpeningRequest(key));
  SELVEDGE_RETURN_IF_ERROR(SendBytes(request, until));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string head, ReadHead(until, stop));
  return TakeHead(head, key);
}

Result<std::string> WebSocketClient::Core::ReadHead(SteadyClock::time_point until,
                                                    const std::stop_token& stop) {
  std::string bytes;
  for (;;) {
    SELVEDGE_ASSIGN_OR_RETURN(const std::string more, Receive());
    bytes += more;
    if (const std::size_t end = bytes.find("\r\n\r\n"); end != std::string::npos) {
      parser_.Feed(std::string_view(bytes).substr(end + 4));
      // Where it refuses, what follows is the body of the answer; TakeHead wants it.
      return bytes;
    }
    if (bytes.size() > kMaxHead) {
      return Err(ResourceExhaustedError(url_.authority() + ": the answer's header is too large"));
    }
    if (stop.stop_requested()) return Err(CancelledError("the call was cancelled"));
    if (!more.empty()) continue;
    const milliseconds left = Left(until);
    if (left.count() == 0) {
      return Err(DeadlineExceededError("no answer from " + url_.authority() + " in time"));
    }
    Await(POLLIN, std::min(left, kSlice));
  }
}

Status WebSocketClient::Core::TakeHead(const std::string& bytes, const std::string& key) {
  const std::size_t end = bytes.find("\r\n\r\n");
  HttpAnswer answer;
  answer.url = url_.url;
  answer.body = bytes.substr(end + 4);
  std::string_view head = std::string_view(bytes).substr(0, end);
  const std::string_view line = head.substr(0, head.find("\r\n"));
  if (line.starts_with("HTTP/1.1 ") && line.size() >= 12) {
    for (const char c : line.substr(9, 3)) answer.status = answer.status * 10 + (c - '0');
  }
  head.remove_prefix(std::min(head.size(), line.size() + 2));
  while (!head.empty()) {
    const std::string_view field = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(head.size(), field.size() + 2));
    const std::size_t colon = field.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view value = field.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    answer.headers.emplace_back(field.substr(0, colon), value);
  }
  if (answer.status >= 400) return StatusOfAnswer(answer);
  if (answer.status != 101 || !ListHasWord(answer.Header("Upgrade"), "websocket") ||
      answer.Header("Sec-WebSocket-Accept") != WebSocketAcceptKey(key)) {
    return FailedPreconditionError(url_.authority() + " answers with status " +
                                   std::to_string(answer.status) +
                                   ", not as a WebSocket; check the URL's path");
  }
  subprotocol_ = answer.Header("Sec-WebSocket-Protocol");
  const auto& offered = options_.subprotocols;
  if (!subprotocol_.empty() &&
      std::find(offered.begin(), offered.end(), subprotocol_) == offered.end()) {
    return FailedPreconditionError(url_.authority() + " chose a subprotocol that was not offered");
  }
  return OkStatus();
}

Status WebSocketClient::Core::SendBytes(std::string_view bytes, SteadyClock::time_point until) {
  while (!bytes.empty()) {
    std::size_t sent = 0;
    CURLcode code = CURLE_OK;
    {
      const std::lock_guard lock(curl_mutex_);
      const SigpipeGuard guard;
      code = curl_easy_send(handle_.get(), bytes.data(), bytes.size(), &sent);
    }
    bytes.remove_prefix(sent);
    if (code == CURLE_OK) continue;
    if (code != CURLE_AGAIN) {
      return End(UnavailableError("the connection to " + url_.authority() + " broke"));
    }
    const milliseconds left = Left(until);
    // Half a frame cannot be taken back.
    if (left.count() == 0) {
      return End(UnavailableError(url_.authority() + " takes nothing any more"));
    }
    Await(POLLOUT, std::min(left, kSlice));
  }
  return OkStatus();
}

Result<std::string> WebSocketClient::Core::Receive() {
  std::array<char, 16 * 1024> bytes;
  std::size_t got = 0;
  CURLcode code = CURLE_OK;
  {
    const std::lock_guard lock(curl_mutex_);
    const SigpipeGuard guard;
    code = curl_easy_recv(handle_.get(), bytes.data(), bytes.size(), &got);
  }
  if (code == CURLE_AGAIN) return std::string();
  if (code == CURLE_OK && got > 0) return std::string(bytes.data(), got);
  return Err(End(UnavailableError("the connection to " + url_.authority() + " broke")));
}

Status WebSocketClient::Core::Send(WebSocketOpcode opcode, std::string_view payload,
                                   SteadyClock::time_point until) {
  if (Status over = ended(); !over.ok()) return over;
  // Unpredictable enough for what it is for: proxies that mistake a payload for a request.
  thread_local std::mt19937 random{std::random_device{}()};
  const std::string frame =
      MaskedWebSocketFrame(opcode, payload, static_cast<std::uint32_t>(random()));
  const std::lock_guard lock(send_mutex_);
  return SendBytes(frame, until);
}

// The next text message among what was received, if there is one.
std::optional<std::string> WebSocketClient::Core::TakeEvents() {
  while (auto event = parser_.Next()) {
    const auto until = SteadyClock::now() + kSendTime;
    switch (event->kind) {
      case WebSocketParser::Kind::kText: return std::move(event->payload);
      case WebSocketParser::Kind::kPing:
        (void)Send(WebSocketOpcode::kPong, event->payload, until);
        break;
      case WebSocketParser::Kind::kPong: break;
      case WebSocketParser::Kind::kClose:
        if (!said_goodbye_.exchange(true)) {
          (void)Send(WebSocketOpcode::kClose, WebSocketClosePayload(event->code, {}),
                     SteadyClock::now() + kGoodbyeTime);
        }
        (void)End(UnavailableError(url_.authority() + " closed the conversation (" +
                                   std::to_string(event->code) +
                                   (event->payload.empty() ? "" : ", " + event->payload) + ")"));
        return std::nullopt;
    }
  }
  if (parser_.failed() != 0) {
    (void)Send(WebSocketOpcode::kClose, WebSocketClosePayload(parser_.failed(), {}),
               SteadyClock::now() + kGoodbyeTime);
    (void)End(parser_.failed() == 1009
                  ? ResourceExhaustedError(url_.authority() + " sent a message that is too large")
                  : DataLossError(url_.authority() + " sent what is no WebSocket"));
  }
  return std::nullopt;
}

Result<std::optional<std::string>> WebSocketClient::Core::Next(milliseconds timeout,
                                                               const std::stop_token& stop) {
  const auto until = SteadyClock::now() + timeout;
  for (;;) {
    if (auto text = TakeEvents()) return text;
    if (Status over = ended(); !over.ok()) return Err(std::move(over));
    SELVEDGE_ASSIGN_OR_RETURN(const std::string more, Receive());
    if (!more.empty()) {
      parser_.Feed(more);
      continue;
    }
    const milliseconds left = Left(until);
    if (left.count() == 0 || stop.stop_requested()) return std::nullopt;
    Await(POLLIN, std::min(left, kSlice));
  }
}

void WebSocketClient::Core::Close() {
  if (!said_goodbye_.exchange(true)) {
    (void)Send(WebSocketOpcode::kClose, WebSocketClosePayload(1000, {}),
               SteadyClock::now() + kGoodbyeTime);
  }
  (void)End(UnavailableError("the conversation with " + url_.authority() + " was closed"));
}

WebSocketClient::WebSocketClient(std::unique_ptr<Core> core) : core_(std::move(core)) {}

WebSocketClient::~WebSocketClient() {
  Close();
}

Result<std::unique_ptr<WebSocketClient>> WebSocketClient::Connect(
    const WebSocketClientOptions& options, const std::stop_token& stop) {
  SELVEDGE_ASSIGN_OR_RETURN(UrlParts url, ParseUrl(options.url));
  CurlHandle handle = NewCurl();
  if (!handle) return Err(ResourceExhaustedError("out of memory for a connection"));
  auto core = std::make_unique<Core>(std::move(handle), options, std::move(url));
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Connect(stop));
  return std::unique_ptr<WebSocketClient>(new WebSocketClient(std::move(core)));
}

Result<std::optional<std::string>> WebSocketClient::Next(milliseconds timeout,
                                                         const std::stop_token& stop) {
  return core_->Next(timeout, stop);
}

Status WebSocketClient::Send(std::string_view text) {
  return core_->Send(WebSocketOpcode::kText, text, SteadyClock::now() + kSendTime);
}

void WebSocketClient::Close() {
  core_->Close();
}

const std::string& WebSocketClient::subprotocol() const {
  return core_->subprotocol();
}

}  // namespace selvedge
