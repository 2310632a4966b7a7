#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "net/http_test_client.h"

namespace selvedge {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Waits for something that the server's thread is about to do.
template <typename Condition>
bool Eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() { options_.port = 0; }

  // Routes that several tests use; starts.
  HttpServer& Serve() {
    server_ = std::make_unique<HttpServer>(options_);
    server_->Handle("GET", "/hello", [](const HttpRequest& request) {
      HttpResponse response;
      response.body = "hello " + QueryValue(request.query, "name");
      return response;
    });
    server_->Handle("POST", "/echo", [](const HttpRequest& request) {
      HttpResponse response;
      response.body = request.body;
      return response;
    });
    server_->Handle("GET", "/throws", [](const HttpRequest&) -> HttpResponse {
      throw std::runtime_error("on purpose");
    });
    server_->HandleLater("GET", "/later", [this](const HttpRequest&, HttpReply reply) {
      std::lock_guard lock(mutex_);
      replies_.push_back(std::move(reply));
    });
    server_->HandleStream("/stream", stream_);
    const Status status = server_->Start();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return *server_;
  }
  // The answer to one request on a connection of its own, until the server closes.
  std::string Ask(std::string_view bytes) {
    TestClient client(server_->port());
    client.Send(bytes);
    return client.ReadResponse();
  }
  HttpReply TakeReply() {
    EXPECT_TRUE(Eventually([&] {
      std::lock_guard lock(mutex_);
      return !replies_.empty();
    }));
    std::lock_guard lock(mutex_);
    HttpReply reply = std::move(replies_.back());
    replies_.pop_back();
    return reply;
  }

  HttpServerOptions options_;
  std::shared_ptr<HttpStream> stream_ = std::make_shared<HttpStream>("text/event-stream", "<");
  std::unique_ptr<HttpServer> server_;
  std::mutex mutex_;
  std::vector<HttpReply> replies_;
};

HttpStream::Chunk MakeChunk(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  TestClient client(Serve().port());
  for (int i = 0; i < 3; ++i) {
    client.Get("/hello?name=you");
    const std::string answer = client.ReadResponse();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\nhello you"));
  }
  EXPECT_EQ(server_->connections(), 1);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  TestClient client(Serve().port());
  client.Send(
      "GET /hello?name=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
      "GET /hello?name=2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), HasSubstr("hello 1"));
  EXPECT_THAT(client.ReadResponse(), HasSubstr("\r\n\r\nabc"));
  EXPECT_THAT(client.ReadResponse(), HasSubstr("hello 2"));
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServerTest, TakesARequestByteByByte) {
  TestClient client(Serve().port());
  for (const char c : std::string("GET /hello?name=x HTTP/1.1\r\nHost: localhost\r\n\r\n")) {
    client.Send({&c, 1});
  }
  EXPECT_THAT(client.ReadResponse(), HasSubstr("hello x"));
}

TEST_F(HttpServerTest, HeadHasNoBody) {
  TestClient client(Serve().port());
  client.Send("HEAD /hello?name=you HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string answer = client.ReadAll();
  EXPECT_THAT(answer, HasSubstr("Content-Length: 9\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, TakesChunkedBodiesAndExpectations) {
  Serve();
  EXPECT_THAT(Ask("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
              HasSubstr("\r\n\r\nabcde"));
  TestClient client(server_->port());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ok");
  EXPECT_THAT(client.ReadResponse(), HasSubstr("\r\n\r\nok"));
}

TEST_F(HttpServerTest, RefusesWhatItShould) {
  options_.max_header_bytes = 2048;
  options_.max_body_bytes = 1000;
  Serve();
  const std::string host = "Host: localhost\r\n";
  struct Case {
    std::string request;
    std::string status;
  };
  const Case cases[] = {
      {"GET /nothing HTTP/1.1\r\n" + host + "\r\n", "404 "},
      {"POST /hello HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", "405 "},
      {"DELETE /echo HTTP/1.1\r\n" + host + "\r\n", "405 "},
      {"GET /throws HTTP/1.1\r\n" + host + "\r\n", "500 "},
      {"GET /hello HTTP/1.1\r\n\r\n", "400 "},
      {"GET /hello HTTP/1.1\r\n" + host + host + "\r\n", "400 "},
      {"GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421 "},
      {"GET http://evil.example/hello HTTP/1.1\r\n" + host + "\r\n", "421 "},
      {"GET http://localhost/hello HTTP/1.1\r\n" + host + "\r\n", "200 "},
      {"GET /%zz HTTP/1.1\r\n" + host + "\r\n", "400 "},
      {"GET hello HTTP/1.1\r\n" + host + "\r\n", "400 "},
      {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", "400 "},
      {"GET /hello HTTP/1.0\r\n\r\n", "200 "},
      {"GET /hello HTTP/2.0\r\n" + host + "\r\n", "505 "},
      {"GET /hello HTTP/1.1\r\n" + host + "X: " + std::string(3000, 'x') + "\r\n\r\n", "431 "},
      {"GET /" + std::string(100'000, 'x'), "431 "},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1001\r\n\r\n", "413 "},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999999\r\n\r\n",
       "400 "},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", "400 "},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 "},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400 "},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" +
           std::string(1001, 'x'),
       "413 "},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       "501 "},
      {"GET /hello\r\n\r\n", "400 "},
      {"\r\n\r\n\r\n", "400 "},
      {std::string("GET /\0 HTTP/1.1\r\n\r\n", 18), "400 "},
      {"\x16\x03\x01\x02\x01\x01 a TLS hello, say\r\n\r\n", "400 "},
      {"GET /hello HTTP/1.1\r\n" + host + " folded: yes\r\nX : 1\r\n\r\n", "400 "},
      {"GET /hello HTTP/1.1\r\n" + host + "No colon\r\n\r\n", "400 "},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(Ask(c.request), StartsWith("HTTP/1.1 " + c.status)) << c.request.substr(0, 200);
  }
  EXPECT_THAT(Ask("PUT /hello HTTP/1.1\r\n" + host + "\r\n"), HasSubstr("Allow: GET, HEAD\r\n"));
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\n" + host + "\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, SlowRequestsEnd) {
  options_.header_timeout = milliseconds(50);
  options_.body_timeout = milliseconds(50);
  options_.idle_timeout = milliseconds(50);
  Serve();
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nHos"), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(Ask("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab"),
              StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(Ask(""), "");  // says nothing: closed without a word
  EXPECT_TRUE(Eventually([&] { return server_->connections() == 0; }));
}

// A header every so often does not keep a connection open: what counts is the whole header. So fast
// that most of the time a read has just completed when the time is up, and cannot be cancelled.
TEST_F(HttpServerTest, DrippingHeadersDoNotResetTheClock) {
  options_.header_timeout = milliseconds(50);
  options_.max_header_bytes = 64 * 1024 * 1024;
  Serve();
  for (int i = 0; i < 10; ++i) {
    TestClient client(server_->port());
    client.Send("GET /hello HTTP/1.1\r\nX: ");
    std::atomic<bool> done{false};
    std::thread drip([&] {
      while (!done) client.Send("y");
    });
    const std::string answer = client.ReadUntil("\r\n\r\n");
    done = true;
    drip.join();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 408 "));
  }
}

TEST_F(HttpServerTest, HalfRequestsAndResetsLeaveNothingBehind) {
  Serve();
  for (int i = 0; i < 50; ++i) {
    TestClient client(server_->port());
    client.Send("GET /hello HTTP/1.1\r\nHost: loc");
    if (i % 2 == 0) {
      const linger reset{1, 0};
      setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
  }
  EXPECT_TRUE(Eventually([&] { return server_->connections() == 0; }));
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, MoreConnectionsThanAllowedAreToldSo) {
  options_.max_connections = 4;
  Serve();
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(server_->port());
    clients.back().Get("/hello");
    EXPECT_THAT(clients.back().ReadResponse(), StartsWith("HTTP/1.1 200 "));
  }
  TestClient extra(server_->port());
  EXPECT_THAT(extra.ReadAll(), StartsWith("HTTP/1.1 503 "));
  clients[0].Close();
  EXPECT_TRUE(Eventually([&] { return server_->connections() == 3; }));
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, RepliesFromAnotherThread) {
  TestClient client(Serve().port());
  client.Get("/later");
  HttpReply reply = TakeReply();
  std::thread([&] {
    HttpResponse response;
    response.status = 202;
    response.body = "late";
    reply(response);
    response.body = "twice";
    reply(response);
  }).join();
  EXPECT_THAT(client.ReadResponse(), HasSubstr("\r\n\r\nlate"));
  client.Get("/hello?name=next");
  EXPECT_THAT(client.ReadResponse(), HasSubstr("hello next"));
}

TEST_F(HttpServerTest, AForgottenReplyIsAnsweredAllTheSame) {
  TestClient client(Serve().port());
  client.Get("/later");
  TakeReply();  // and drops it
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 503 "));
}

TEST_F(HttpServerTest, ALateReplyDoesNotAnswerTheNextRequest) {
  options_.reply_timeout = milliseconds(30);
  TestClient client(Serve().port());
  client.Get("/later");
  HttpReply first = TakeReply();
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 503 "));
  HttpResponse late;
  late.body = "late";
  client.Get("/later");
  HttpReply second = TakeReply();
  first(late);
  late.body = "right";
  second(late);
  EXPECT_THAT(client.ReadResponse(), Not(HasSubstr("late")));
}

TEST_F(HttpServerTest, RepliesAfterTheServerIsGoneDoNothing) {
  TestClient client(Serve().port());
  client.Get("/later");
  HttpReply reply = TakeReply();
  server_.reset();
  reply({});
}

TEST_F(HttpServerTest, StreamsTheLatest) {
  TestClient client(Serve().port());
  client.Get("/stream");
  const std::string head = client.ReadUntil("\r\n\r\n<");
  EXPECT_THAT(head, HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(head, HasSubstr("Connection: close\r\n"));
  EXPECT_EQ(stream_->subscribers(), 1);
  stream_->Publish(MakeChunk("one;"));
  EXPECT_EQ(client.ReadUntil(";"), "one;");
  stream_->Publish(MakeChunk("two;"));
  EXPECT_EQ(client.ReadUntil(";"), "two;");
  stream_->End();
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(Eventually([&] { return stream_->subscribers() == 0; }));
  EXPECT_THAT(Ask("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 503 "));
}

TEST_F(HttpServerTest, NoticesAWatcherThatGoesWhileNothingIsSent) {
  Serve();
  {
    TestClient client(server_->port());
    client.Get("/stream");
    client.ReadUntil("<");
    EXPECT_EQ(stream_->subscribers(), 1);
  }
  EXPECT_TRUE(Eventually([&] { return stream_->subscribers() == 0; }));
}

TEST_F(HttpServerTest, AWatcherThatNeverReadsStallsNobodyAndIsCutOff) {
  options_.write_timeout = milliseconds(300);
  Serve();
  TestClient deaf(server_->port());
  TestClient good(server_->port());
  deaf.Get("/stream");
  good.Get("/stream");
  ASSERT_THAT(good.ReadUntil("<"), HasSubstr("200 OK"));
  ASSERT_TRUE(Eventually([&] { return stream_->subscribers() == 2; }));
  const std::string filling(200'000, 'x');
  for (int i = 0; i < 100; ++i) {
    const std::string text = filling + std::to_string(i) + ";";
    stream_->Publish(MakeChunk(text));
    // The good one gets every single chunk, at once, whatever the other does.
    ASSERT_EQ(good.ReadUntil(";"), text);
  }
  EXPECT_TRUE(Eventually([&] { return stream_->subscribers() == 1; }));
  stream_->Publish(MakeChunk("last;"));
  EXPECT_EQ(good.ReadUntil(";"), "last;");
}

TEST_F(HttpServerTest, ASlowWatcherSkipsToTheNewest) {
  Serve();
  TestClient slow(server_->port());
  slow.Get("/stream");
  ASSERT_THAT(slow.ReadUntil("<"), HasSubstr("200 OK"));
  const std::string filling(1'000'000, 'x');
  for (int i = 0; i < 50; ++i) stream_->Publish(MakeChunk(filling + std::to_string(i) + ";"));
  int chunks = 0;
  std::string last;
  do {
    last = slow.ReadUntil(";");
    ++chunks;
  } while (!last.ends_with("x49;") && !last.empty());
  EXPECT_THAT(last, ::testing::EndsWith("x49;"));
  EXPECT_LT(chunks, 50);
}

TEST_F(HttpServerTest, WatchersNeverLockOutTheRest) {
  options_.max_streams = 2;
  Serve();
  std::vector<TestClient> watchers;
  for (int i = 0; i < 2; ++i) {
    watchers.emplace_back(server_->port());
    watchers.back().Get("/stream");
    watchers.back().ReadUntil("<");
  }
  EXPECT_THAT(Ask("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  // A HEAD request takes no place for longer than its answer.
  EXPECT_THAT(Ask("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 503 "));
  watchers.pop_back();
  EXPECT_TRUE(Eventually([&] { return stream_->subscribers() == 1; }));
  EXPECT_THAT(Ask("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(Eventually([&] { return stream_->subscribers() == 1; }));
}

TEST_F(HttpServerTest, StopLetsAResponseUnderWayFinish) {
  TestClient idle(Serve().port());
  TestClient busy(server_->port());
  TestClient watcher(server_->port());
  idle.Get("/hello");
  idle.ReadResponse();
  watcher.Get("/stream");
  watcher.ReadUntil("<");
  busy.Get("/later");
  HttpReply reply = TakeReply();
  std::thread stop([&] { server_->Stop(); });
  EXPECT_EQ(idle.ReadAll(), "");
  EXPECT_TRUE(idle.closed());
  watcher.ReadAll();
  EXPECT_TRUE(watcher.closed());
  HttpResponse response;
  response.body = "done";
  reply(response);
  const std::string answer = busy.ReadResponse();
  EXPECT_THAT(answer, HasSubstr("\r\n\r\ndone"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  busy.Close();
  stop.join();
  EXPECT_FALSE(TestClient(server_->port()).connected());
}

TEST_F(HttpServerTest, StopDoesNotWaitForEver) {
  options_.stop_timeout = milliseconds(50);
  TestClient busy(Serve().port());
  busy.Get("/later");
  HttpReply reply = TakeReply();
  server_->Stop();
  busy.ReadAll();
  EXPECT_TRUE(busy.closed());
}

TEST_F(HttpServerTest, BindsLoopbackOnlyUnlessToldOtherwise) {
  Serve();
  TestClient v6(server_->port(), true);
  if (v6.connected()) {
    v6.Get("/hello");
    EXPECT_THAT(v6.ReadResponse(), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_EQ(HttpServerOptions().address, "localhost");
  EXPECT_EQ(server_->url(), "http://localhost:" + std::to_string(server_->port()) + "/");
  // 127.0.0.2 is this machine too, but not what was bound.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server_->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
  EXPECT_NE(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
}

TEST_F(HttpServerTest, TakesTheNextPortWhereOneIsBusy) {
  Serve();
  HttpServerOptions busy = options_;
  busy.port = server_->port();
  HttpServer refused(busy);
  const Status status = refused.Start();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("in use"));
  EXPECT_EQ(refused.port(), 0);
  busy.port_tries = 20;
  HttpServer next(busy);
  EXPECT_TRUE(next.Start().ok());
  EXPECT_GT(next.port(), server_->port());
  EXPECT_LT(next.port(), server_->port() + 20);
}

TEST_F(HttpServerTest, SaysWhatIsWrongWithAnAddress) {
  options_.address = "camera.example";
  EXPECT_EQ(HttpServer(options_).Start().code(), StatusCode::kInvalidArgument);
  options_.address = "192.0.2.1";  // RFC 5737: nobody's
  const Status status = HttpServer(options_).Start();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("192.0.2.1"));
}

TEST_F(HttpServerTest, NeverStartedAndStoppedTwiceAreFine) {
  HttpServer idle(options_);
  idle.Stop();
  Serve();
  EXPECT_EQ(server_->Start().code(), StatusCode::kFailedPrecondition);
  server_->Stop();
  server_->Stop();
  EXPECT_EQ(server_->Start().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace selvedge
