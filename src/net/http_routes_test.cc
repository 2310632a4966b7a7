// Prefixes, uploads, files and worker threads of an HttpServer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <thread>

#include "net/http_server.h"
#include "net/http_test_client.h"

namespace selvedge {
namespace {

using std::chrono::milliseconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

template <typename Condition>
bool Eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

// What happened to the sinks of a test.
struct Uploads {
  std::mutex mutex;
  std::condition_variable changed;
  std::string body;
  int finished = 0;
  int aborted = 0;
  int destroyed = 0;
  bool hold = false;  // Write waits while it is set
  std::size_t fail_after = SIZE_MAX;
  std::size_t largest_write = 0;

  int Aborted() {
    const std::lock_guard lock(mutex);
    return aborted;
  }
  int Destroyed() {
    const std::lock_guard lock(mutex);
    return destroyed;
  }
  std::size_t Size() {
    const std::lock_guard lock(mutex);
    return body.size();
  }
  void Hold(bool on) {
    {
      const std::lock_guard lock(mutex);
      hold = on;
    }
    changed.notify_all();
  }
};

class RecordingSink : public HttpBodySink {
 public:
  explicit RecordingSink(Uploads* uploads) : uploads_(*uploads) {}
  ~RecordingSink() override {
    const std::lock_guard lock(uploads_.mutex);
    ++uploads_.destroyed;
  }
  Status Write(std::string_view bytes) override {
    std::unique_lock lock(uploads_.mutex);
    uploads_.changed.wait(lock, [&] { return !uploads_.hold; });
    uploads_.body.append(bytes);
    uploads_.largest_write = std::max(uploads_.largest_write, bytes.size());
    if (uploads_.body.size() > uploads_.fail_after)
      return ResourceExhaustedError("the disk is full");
    return OkStatus();
  }
  void Finish(const Status& status, HttpReply reply) override {
    const std::lock_guard lock(uploads_.mutex);
    ++uploads_.finished;
    HttpResponse response;
    response.status = status.ok() ? 201 : 507;
    response.body = status.ok() ? std::to_string(uploads_.body.size()) : status.message();
    reply(response);
  }
  void Abort() override {
    const std::lock_guard lock(uploads_.mutex);
    ++uploads_.aborted;
  }

 private:
  Uploads& uploads_;
};

// With and without worker threads.
class HttpRoutesTest : public ::testing::TestWithParam<int> {
 protected:
  HttpRoutesTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("selvedge-routes-" + std::to_string(getpid()))) {
    options_.port = 0;
    options_.worker_threads = GetParam();
    std::filesystem::create_directories(folder_);
  }
  ~HttpRoutesTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  HttpServer& Serve() {
    server_ = std::make_unique<HttpServer>(options_);
    server_->Handle("GET", "/v2/", [](const HttpRequest&) { return Say("exact"); });
    server_->HandlePrefix("GET", "/v2/", [](const HttpRequest& request, HttpReply reply) {
      reply(Say("v2 " + request.path));
    });
    server_->HandlePrefix("GET", "/v2/files/", [](const HttpRequest& request, HttpReply reply) {
      reply(Say("files " + request.path));
    });
    server_->HandlePrefix("POST", "/v2/",
                          [](const HttpRequest& request, HttpReply reply) {
                            reply(Say("posted " + std::to_string(request.body.size())));
                          },
                          {.max_body_bytes = 3'000'000, .reply_timeout = {}});
    server_->HandlePrefix("GET", "/throws/", [](const HttpRequest&, HttpReply) {
      throw std::runtime_error("on purpose");
    });
    server_->HandlePrefix("GET", "/file/", [this](const HttpRequest& request, HttpReply reply) {
      const auto file = HttpFile::Open((folder_ / request.path.substr(6)).string());
      reply(file ? AnswerWithFile(request, *file, "application/octet-stream")
                 : HttpJsonError(file.error()));
    });
    server_->HandleUpload("PUT", "/up/", [this](const HttpRequest& request) -> HttpUpload {
      if (request.path == "/up/refused") {
        HttpResponse no;
        no.status = 401;
        return no;
      }
      if (request.path == "/up/throws") throw std::runtime_error("on purpose");
      return std::make_unique<RecordingSink>(&uploads_);
    });
    server_->HandleUpload("PUT", "/small/", [](const HttpRequest&) -> HttpUpload {
      return CollectBody(
          10, [](const std::string& body, HttpReply reply) { reply(Say("got " + body)); });
    });
    const Status status = server_->Start();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return *server_;
  }
  static HttpResponse Say(std::string text) {
    HttpResponse response;
    response.body = std::move(text);
    return response;
  }
  std::string Ask(std::string_view bytes) {
    TestClient client(server_->port());
    client.Send(bytes);
    return client.ReadResponse();
  }
  std::string Get(const std::string& path, const std::string& headers = "") {
    return Ask("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
  }

  const std::filesystem::path folder_;
  HttpServerOptions options_;
  Uploads uploads_;
  std::unique_ptr<HttpServer> server_;
};

INSTANTIATE_TEST_SUITE_P(Workers, HttpRoutesTest, ::testing::Values(0, 2));

TEST_P(HttpRoutesTest, TheExactPathThenTheLongestPrefixAnswers) {
  Serve();
  EXPECT_THAT(Get("/v2/"), EndsWith("exact"));
  EXPECT_THAT(Get("/v2/a/b%20c?q=1"), EndsWith("v2 /v2/a/b c"));
  EXPECT_THAT(Get("/v2/files/x"), EndsWith("files /v2/files/x"));
  EXPECT_THAT(Get("/v2"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get("/v2/../x"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Get("/v2/a/%2e%2e/x"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Get("/v2/a/.."), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Get("/v2/a..b/...x"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/throws/x"), StartsWith("HTTP/1.1 500 "));
  const std::string head =
      Ask("HEAD /v2/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 8\r\n"));
}

TEST_P(HttpRoutesTest, AMethodThatAPrefixDoesNotOfferIs405WithAllow) {
  Serve();
  const std::string answer = Ask("BREW /v2/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD, POST\r\n"));
  EXPECT_THAT(Ask("DELETE /up/x HTTP/1.1\r\nHost: localhost\r\n\r\n"), HasSubstr("Allow: PUT\r\n"));
}

TEST_P(HttpRoutesTest, ARouteMayTakeALargerBody) {
  Serve();
  const std::string head = "POST /v2/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
  EXPECT_THAT(Ask(head + "3000000\r\n\r\n" + std::string(3'000'000, 'x')),
              EndsWith("posted 3000000"));
  EXPECT_THAT(Ask(head + "3000001\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
}

TEST_P(HttpRoutesTest, AnUploadOfAnySizeGoesToItsSinkInOrder) {
  Serve();
  TestClient client(server_->port());
  std::string body(5'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 % 251);
  client.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n");
  client.Send(body);
  EXPECT_THAT(client.ReadResponse(), HasSubstr("HTTP/1.1 201 "));
  EXPECT_TRUE(uploads_.body == body);
  EXPECT_LE(uploads_.largest_write, 128U * 1024);
  // The connection is good for another one.
  uploads_.body.clear();
  client.Send(
      "PUT /up/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\n5"));
  EXPECT_EQ(uploads_.body, "abcde");
  client.Send("PUT /up/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(client.ReadResponse(), EndsWith("\r\n\r\n5"));
  EXPECT_EQ(uploads_.finished, 3);
  EXPECT_TRUE(Eventually([&] { return uploads_.Destroyed() == 3; }));
  EXPECT_EQ(uploads_.Aborted(), 0);
}

TEST_P(HttpRoutesTest, AClientThatAsksFirstIsRefusedWithoutSendingOrToldToGoOn) {
  Serve();
  const std::string rest =
      " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_THAT(Ask("PUT /up/refused" + rest), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(Ask("PUT /nowhere" + rest), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask("PUT /up/throws" + rest), StartsWith("HTTP/1.1 500 "));
  TestClient client(server_->port());
  client.Send("PUT /up/x" + rest);
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ok");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 201 "));
}

TEST_P(HttpRoutesTest, ASinkThatFailsEndsTheUploadWithItsAnswer) {
  uploads_.fail_after = 100'000;
  Serve();
  TestClient client(server_->port());
  client.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n");
  client.Send(std::string(400'000, 'x'));
  const std::string answer = client.ReadResponse();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 507 "));
  EXPECT_THAT(answer, EndsWith("the disk is full"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_EQ(uploads_.finished, 1);
}

TEST_P(HttpRoutesTest, AClientThatGoesOrSendsNonsenseAbortsItsUpload) {
  Serve();
  {
    TestClient client(server_->port());
    client.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\nabc");
  }
  EXPECT_TRUE(Eventually([&] { return uploads_.Aborted() == 1; }));
  EXPECT_THAT(Ask("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\nzz\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_TRUE(Eventually([&] { return uploads_.Aborted() == 2; }));
  // A chunk's head that never ends.
  TestClient endless(server_->port());
  endless.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;" +
               std::string(100'000, 'x'));
  EXPECT_THAT(endless.ReadUntil("\r\n"), StartsWith("HTTP/1.1 4"));
  EXPECT_TRUE(Eventually([&] { return uploads_.Aborted() == 3; }));
  EXPECT_EQ(uploads_.finished, 0);
}

TEST_P(HttpRoutesTest, AnUploadThatComesTooSlowlyEnds) {
  options_.body_timeout = milliseconds(100);
  Serve();
  TestClient client(server_->port());
  client.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n");
  std::atomic<bool> done{false};
  std::thread drip([&] {
    while (!done) {
      client.Send("y");
      std::this_thread::sleep_for(milliseconds(5));
    }
  });
  EXPECT_THAT(client.ReadUntil("\r\n"), StartsWith("HTTP/1.1 408 "));
  done = true;
  drip.join();
  EXPECT_EQ(uploads_.Aborted(), 1);
}

TEST_P(HttpRoutesTest, StopEndsAnUploadAtOnce) {
  Serve();
  TestClient client(server_->port());
  client.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\nabc");
  ASSERT_TRUE(Eventually([&] { return uploads_.Size() == 3; }));
  server_->Stop();
  EXPECT_EQ(uploads_.aborted, 1);
  EXPECT_EQ(uploads_.destroyed, 1);
}

TEST_P(HttpRoutesTest, CollectsASmallBodyInOnePiece) {
  Serve();
  const std::string head = "PUT /small/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
  EXPECT_THAT(Ask(head + "10\r\n\r\n0123456789"), EndsWith("got 0123456789"));
  EXPECT_THAT(Ask(head + "11\r\n\r\n0123456789x"), StartsWith("HTTP/1.1 413 "));
}

TEST_P(HttpRoutesTest, SendsFilesAndPartsOfThem) {
  std::string content(1'000'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 % 253);
  std::ofstream(folder_ / "big", std::ios::binary) << content;
  std::ofstream(folder_ / "empty", std::ios::binary).flush();
  Serve();
  const auto body = [](const std::string& answer) {
    return answer.substr(answer.find("\r\n\r\n") + 4);
  };
  EXPECT_TRUE(body(Get("/file/big")) == content);
  EXPECT_TRUE(body(Get("/file/big", "Range: bytes=123456-654320\r\n")) ==
              content.substr(123456, 654321 - 123456));
  EXPECT_THAT(Get("/file/empty"), HasSubstr("Content-Length: 0\r\n"));
  EXPECT_THAT(Get("/file/none"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get("/file/big", "Range: bytes=1000000-\r\n"), StartsWith("HTTP/1.1 416 "));
  TestClient client(server_->port());
  client.Send("HEAD /file/big HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), HasSubstr("Content-Length: 1000000\r\n"));
  client.Get("/file/empty");  // the same connection
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 200 "));
}

TEST_P(HttpRoutesTest, AFileThatBecameShorterIsCutOffNotPadded) {
  const std::string path = (folder_ / "shrinks").string();
  std::ofstream(path, std::ios::binary) << std::string(1000, 'x');
  options_.allowed_hosts = {"*"};
  Serve();
  const auto file = HttpFile::Open(path);
  ASSERT_TRUE(file.has_value());
  HttpServer other(options_);
  other.Handle("GET", "/", [&](const HttpRequest& request) {
    return AnswerWithFile(request, *file, "text/plain");
  });
  ASSERT_TRUE(other.Start().ok());
  std::filesystem::resize_file(path, 10);
  TestClient client(other.port());
  client.Get("/");
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_TRUE(client.closed());
}

class HttpWorkersTest : public HttpRoutesTest {};
INSTANTIATE_TEST_SUITE_P(Workers, HttpWorkersTest, ::testing::Values(2));

TEST_P(HttpWorkersTest, ASinkThatWaitsStallsNobodyElse) {
  Serve();
  uploads_.Hold(true);
  TestClient slow(server_->port());
  slow.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Get("/v2/"), EndsWith("exact"));      // on the I/O thread
    EXPECT_THAT(Get("/v2/x"), EndsWith("v2 /v2/x"));  // on the other worker
  }
  uploads_.Hold(false);
  EXPECT_THAT(slow.ReadResponse(), StartsWith("HTTP/1.1 201 "));
}

TEST_P(HttpWorkersTest, AHandlerThatTakesTooLongIsAnsweredForAndMayStillEnd) {
  std::mutex mutex;
  std::condition_variable changed;
  bool go_on = false;
  std::string seen;
  options_.reply_timeout = milliseconds(50);
  HttpServer server(options_);
  server.HandlePrefix("GET", "/slow/", [&](const HttpRequest& request, HttpReply reply) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return go_on; });
    seen = request.path;
    reply(Say("late"));
  });
  ASSERT_TRUE(server.Start().ok());
  {
    TestClient client(server.port());
    client.Get("/slow/x");
    EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 503 "));
  }
  {
    const std::lock_guard lock(mutex);
    go_on = true;
  }
  changed.notify_all();
  server.Stop();  // waits for it
  EXPECT_EQ(seen, "/slow/x");
}

TEST_P(HttpWorkersTest, StopWaitsForASinkThatIsInTheMiddle) {
  Serve();
  uploads_.Hold(true);
  TestClient client(server_->port());
  client.Send("PUT /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\nabc");
  std::thread stop([&] { server_->Stop(); });
  std::this_thread::yield();
  uploads_.Hold(false);
  stop.join();
  EXPECT_LE(uploads_.aborted, 1);
  EXPECT_EQ(uploads_.aborted, uploads_.destroyed);
}

}  // namespace
}  // namespace selvedge
