// WebSockets, the server's and the client's side against each other and against bare sockets.

#include "net/websocket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "net/http_server.h"
#include "net/http_test_client.h"
#include "net/test_certificates.h"
#include "net/websocket_client.h"
#include "net/websocket_frame.h"

namespace selvedge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr seconds kPatience{10};

class WebSocketTest : public ::testing::TestWithParam<int> {
 protected:
  WebSocketTest() {
    options_.port = 0;
    options_.worker_threads = GetParam();
  }
  ~WebSocketTest() override {
    if (server_) server_->Stop();
  }

  HttpServer& Serve() {
    server_ = std::make_unique<HttpServer>(options_);
    server_->Handle("GET", "/hello", [](const HttpRequest&) {
      HttpResponse response;
      response.body = "hello";
      return response;
    });
    server_->HandleWebSocket(
        "/ws", [this](const HttpRequest& request) { return Decide(request); }, limits_);
    const Status status = server_->Start();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return *server_;
  }
  HttpWebSocket Decide(const HttpRequest& request) {
    const auto offered = WebSocketProtocols(request.Header("Sec-WebSocket-Protocol"));
    if (offered != std::vector<std::string>{"selvedge.v1", "bearer.good"}) {
      return HttpJsonError(UnauthenticatedError("a viewer's token is needed"));
    }
    WebSocketAccepted accepted;
    accepted.subprotocol = "selvedge.v1";
    accepted.on_open = [this](std::shared_ptr<WebSocket> socket) {
      socket->Send("welcome");
      const std::lock_guard lock(mutex_);
      socket_ = std::move(socket);
      changed_.notify_all();
    };
    accepted.on_message = [this](std::string_view text) {
      std::shared_ptr<WebSocket> socket;
      {
        const std::lock_guard lock(mutex_);
        socket = socket_;
      }
      if (text == "throw") throw std::runtime_error("on purpose");
      socket->Send("echo " + std::string(text));
    };
    accepted.on_close = [this](int code, std::string_view reason) {
      const std::lock_guard lock(mutex_);
      closed_.push_back(std::to_string(code) + " " + std::string(reason));
      changed_.notify_all();
    };
    return accepted;
  }
  Result<std::unique_ptr<WebSocketClient>> Connect(WebSocketClientOptions options = {}) {
    const std::string scheme = options_.tls ? "wss" : "ws";
    options.url = scheme + "://localhost:" + std::to_string(server_->port()) + "/ws";
    if (options.subprotocols.empty()) options.subprotocols = {"selvedge.v1", "bearer.good"};
    return WebSocketClient::Connect(options);
  }
  std::shared_ptr<WebSocket> Socket() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return socket_ != nullptr; });
    return socket_;
  }
  // What on_close was told, once it was.
  std::vector<std::string> Closed() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return !closed_.empty(); });
    return closed_;
  }
  static std::string Next(WebSocketClient& client) {
    const auto text = client.Next(kPatience);
    if (!text) return text.error().ToString();
    return text->value_or("nothing came");
  }
  // A bare socket past the opening; a little receive buffer, so that it is soon full.
  TestClient Bare(const std::string& headers = "") {
    TestClient client(server_->port());
    const int small = 4096;
    setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client.Get("/ws", Opening() + headers);
    return client;
  }
  static std::string Opening() {
    return "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           "Sec-WebSocket-Protocol: selvedge.v1, bearer.good\r\n";
  }

  HttpServerOptions options_;
  WebSocketOptions limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<WebSocket> socket_;
  std::vector<std::string> closed_;
  std::unique_ptr<HttpServer> server_;
};

INSTANTIATE_TEST_SUITE_P(Workers, WebSocketTest, ::testing::Values(0, 2));

TEST_P(WebSocketTest, TalksBothWaysAndSaysGoodbye) {
  Serve();
  auto client = Connect();
  ASSERT_TRUE(client.has_value()) << client.error().ToString();
  EXPECT_EQ((*client)->subprotocol(), "selvedge.v1");
  EXPECT_EQ(Next(**client), "welcome");
  const std::string large(60'000, 'x');
  for (const std::string& text : {std::string("a"), std::string(), large}) {
    ASSERT_TRUE((*client)->Send(text).ok());
    EXPECT_EQ(Next(**client), "echo " + text);
  }
  ASSERT_TRUE((*client)->Send("throw").ok());  // the server's log says so; the talk goes on
  ASSERT_TRUE((*client)->Send("b").ok());
  EXPECT_EQ(Next(**client), "echo b");
  EXPECT_FALSE((*client)->Next(milliseconds(1))->has_value());
  (*client)->Close();
  EXPECT_THAT(Closed(), ElementsAre("1000 "));
  EXPECT_FALSE(Socket()->open());
  EXPECT_FALSE(Socket()->Send("too late"));
  EXPECT_EQ((*client)->Next(kPatience).error().code(), StatusCode::kUnavailable);
  EXPECT_EQ((*client)->Send("x").code(), StatusCode::kUnavailable);
}

TEST_P(WebSocketTest, TheServersGoodbyeHasCodeAndReason) {
  Serve();
  auto client = Connect();
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(Socket()->Send("last words"));
  Socket()->Close(1013, "try again later");
  EXPECT_EQ(Next(**client), "welcome");
  EXPECT_EQ(Next(**client), "last words");
  EXPECT_THAT(Next(**client), HasSubstr("1013, try again later"));
  EXPECT_THAT(Closed(), ElementsAre("1013 try again later"));
}

TEST_P(WebSocketTest, WhoMayNotIsToldWhy) {
  Serve();
  auto refused = Connect({.subprotocols = {"selvedge.v1", "bearer.bad"}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(refused.error().message(), HasSubstr("a viewer's token is needed"));
  auto nowhere = WebSocketClient::Connect(
      {.url = "ws://localhost:" + std::to_string(server_->port()) + "/none"});
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error().code(), StatusCode::kNotFound);
  auto no_ws = WebSocketClient::Connect(
      {.url = "ws://localhost:" + std::to_string(server_->port()) + "/hello"});
  ASSERT_FALSE(no_ws.has_value());
  EXPECT_EQ(no_ws.error().code(), StatusCode::kFailedPrecondition);
}

TEST_P(WebSocketTest, AnOpeningMustBeProper) {
  Serve();
  const auto ask = [&](const std::string& headers) {
    TestClient client(server_->port());
    client.Get("/ws", headers);
    return client.ReadResponse();
  };
  EXPECT_THAT(ask(""), StartsWith("HTTP/1.1 426 "));
  EXPECT_THAT(ask("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"),
              HasSubstr("Sec-WebSocket-Version: 13\r\n"));
  EXPECT_THAT(ask("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: short\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask(Opening() + "Origin: https://evil.example\r\n"), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(ask(Opening() + "Origin: null\r\n"), StartsWith("HTTP/1.1 403 "));
  TestClient head(server_->port());
  head.Send("HEAD /ws HTTP/1.1\r\nHost: localhost\r\n" + Opening() + "\r\n");
  EXPECT_THAT(head.ReadUntil("\r\n"), StartsWith("HTTP/1.1 405 "));
  TestClient good = Bare("Origin: http://localhost:1234\r\n");
  EXPECT_THAT(good.ReadUntil("\r\n\r\n"),
              HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
}

TEST_P(WebSocketTest, AClientThatDoesNotReadMeetsTheBound) {
  limits_.max_queued_messages = 50;
  limits_.write_timeout = milliseconds(300);
  Serve();
  TestClient deaf = Bare();
  const auto deaf_socket = Socket();
  ASSERT_NE(deaf_socket, nullptr);
  const auto text = std::make_shared<const std::string>(50'000, 'x');
  // Until the kernel's buffers are full too, and the write time is up.
  int refused = 0;
  std::jthread flood([&] {
    while (deaf_socket->open()) {
      if (!deaf_socket->Send(text) && deaf_socket->open()) ++refused;
      EXPECT_LE(deaf_socket->queued(), 50U);
    }
  });
  // Others go on meanwhile.
  {
    const std::lock_guard lock(mutex_);
    socket_.reset();
  }
  auto good = Connect();
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(Next(**good), "welcome");
  ASSERT_TRUE((*good)->Send("a").ok());
  EXPECT_EQ(Next(**good), "echo a");
  EXPECT_THAT(Closed(), ElementsAre(StartsWith("1006 ")));
  flood.join();
  EXPECT_GT(refused, 0);
}

TEST_P(WebSocketTest, BytesAreBoundedToo) {
  limits_.max_queued_bytes = 1000;
  Serve();
  auto client = Connect();
  ASSERT_TRUE(client.has_value());
  EXPECT_FALSE(Socket()->Send(std::string(1001, 'x')));
  EXPECT_TRUE(Socket()->Send(std::string(900, 'x')));
}

TEST_P(WebSocketTest, WhatCannotBeTakenEndsTheConversation) {
  limits_.max_message_bytes = 1000;
  Serve();
  struct Case {
    std::string frame;
    int code;
  };
  std::string binary = MaskedWebSocketFrame(WebSocketOpcode::kText, "x", 1);
  binary[0] = static_cast<char>(0x82);
  const Case cases[] = {
      {MaskedWebSocketFrame(WebSocketOpcode::kText, std::string(1001, 'x'), 1), 1009},
      {MaskedWebSocketFrame(WebSocketOpcode::kText, "\xff", 1), 1007},
      {binary, 1003},
      {"not a frame at all", 1002},
  };
  for (const Case& c : cases) {
    {
      const std::lock_guard lock(mutex_);
      closed_.clear();
      socket_.reset();
    }
    TestClient client = Bare();
    client.ReadUntil("\r\n\r\n");
    ASSERT_NE(Socket(), nullptr);
    client.ReadUntil("welcome");
    client.Send(c.frame);
    const std::string goodbye = client.ReadAll();
    ASSERT_GE(goodbye.size(), 4U) << c.code;
    EXPECT_EQ(goodbye[0], '\x88');
    EXPECT_EQ(static_cast<unsigned char>(goodbye[2]) << 8 | static_cast<unsigned char>(goodbye[3]),
              c.code);
    EXPECT_THAT(Closed(), ElementsAre(StartsWith(std::to_string(c.code))));
  }
}

TEST_P(WebSocketTest, AClientThatAnswersNoPingIsGone) {
  limits_.ping_interval = milliseconds(50);
  Serve();
  TestClient silent = Bare();
  EXPECT_THAT(silent.ReadAll(), HasSubstr(std::string("\x89\0", 2)));  // a ping
  EXPECT_TRUE(silent.closed());
  EXPECT_THAT(Closed(), ElementsAre("1006 the client does not answer"));
}

TEST_P(WebSocketTest, AClientThatAnswersPingsStays) {
  limits_.ping_interval = milliseconds(20);
  Serve();
  auto client = Connect();
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(Next(**client), "welcome");
  EXPECT_FALSE((*client)->Next(milliseconds(300))->has_value());  // fifteen pings long
  ASSERT_TRUE((*client)->Send("still here").ok());
  EXPECT_EQ(Next(**client), "echo still here");
}

TEST_P(WebSocketTest, TheirNumberIsBounded) {
  options_.max_streams = 1;
  Serve();
  auto first = Connect();
  ASSERT_TRUE(first.has_value());
  auto second = Connect();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), StatusCode::kUnavailable);
  (*first)->Close();
  Closed();
  const auto until = std::chrono::steady_clock::now() + kPatience;
  do {
    second = Connect();
  } while (!second && std::chrono::steady_clock::now() < until);
  EXPECT_TRUE(second.has_value());
}

TEST_P(WebSocketTest, StopSaysGoodbyeAndAnOldHandleDoesNoHarm) {
  Serve();
  auto client = Connect();
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(Next(**client), "welcome");
  const auto socket = Socket();
  server_->Stop();
  EXPECT_THAT(Next(**client), HasSubstr("1001"));
  EXPECT_THAT(Closed(), ElementsAre("1001 the server stops"));
  server_.reset();
  EXPECT_FALSE(socket->Send("x"));
  socket->Close();
}

TEST_P(WebSocketTest, ManySendersManyClients) {
  limits_.max_queued_messages = 100'000;
  Serve();
  std::vector<std::unique_ptr<WebSocketClient>> clients;
  std::vector<std::shared_ptr<WebSocket>> sockets;
  for (int i = 0; i < 4; ++i) {
    {
      const std::lock_guard lock(mutex_);
      socket_.reset();
    }
    auto client = Connect();
    ASSERT_TRUE(client.has_value());
    clients.push_back(std::move(*client));
    sockets.push_back(Socket());
  }
  std::vector<std::jthread> senders;
  for (int t = 0; t < 3; ++t) {
    senders.emplace_back([&] {
      const auto text = std::make_shared<const std::string>("tick");
      for (int i = 0; i < 200; ++i) {
        for (const auto& socket : sockets) EXPECT_TRUE(socket->Send(text));
      }
    });
  }
  for (auto& client : clients) {
    EXPECT_EQ(Next(*client), "welcome");
    for (int i = 0; i < 600; ++i) ASSERT_EQ(Next(*client), "tick");
  }
}

TEST_P(WebSocketTest, OverTlsWithTheFleetsCa) {
  TestCa ca;
  const auto pair = ca.Issue({.cn = "server"});
  options_.tls.emplace(pair.certificate_file, pair.key_file);
  Serve();
  auto client = Connect({.tls = {.ca_file = ca.ca_file()}});
  ASSERT_TRUE(client.has_value()) << client.error().ToString();
  EXPECT_EQ(Next(**client), "welcome");
  const std::string large(60'000, 'x');
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE((*client)->Send(large).ok());
    EXPECT_EQ(Next(**client), "echo " + large);
  }
  auto stranger = Connect();
  ASSERT_FALSE(stranger.has_value());
  EXPECT_EQ(stranger.error().code(), StatusCode::kUnauthenticated);
}

TEST_P(WebSocketTest, AClientStopsWaitingWhenTold) {
  Serve();
  auto client = Connect();
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(Next(**client), "welcome");
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const auto nothing = (*client)->Next(seconds(600), stop.get_token());
  ASSERT_TRUE(nothing.has_value());
  EXPECT_FALSE(nothing->has_value());
}

}  // namespace
}  // namespace selvedge
