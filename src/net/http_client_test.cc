#include "net/http_client.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "net/http_client_testing.h"

namespace selvedge {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(HttpClientTest, CallsWithEveryMethodAndReusesTheConnection) {
  HttpServer& server = NewServer();
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    HttpCall call;
    call.method = method;
    call.url = Url(server, "/echo/a%20b?q=1");
    call.bearer = "secret";
    call.headers = {{"X-Mine", "yes"}, {"Content-Type", "text/x"}};
    if (call.method != "GET") call.body = std::string("zero\0!", 6);
    const auto answer = client_.Call(call);
    ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body,
              std::string(method) + " /echo/a b?q=1 [Bearer secret] [yes] text/x " + call.body);
    EXPECT_EQ(answer->Header("x-content-type-options"), "nosniff");
  }
  EXPECT_EQ(server.connections(), 1);
  HttpCall empty;
  empty.method = "POST";
  empty.url = Url(server, "/echo");
  const auto answer = client_.Call(empty);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->body, "POST /echo? [] []  ");  // no type that curl made up
  HttpCall head;
  head.method = "HEAD";
  head.url = Url(server, "/whole");
  const auto only_head = client_.Call(head);
  ASSERT_TRUE(only_head.has_value());
  EXPECT_EQ(only_head->Header("Content-Length"), "10");
  EXPECT_EQ(only_head->body, "");
}

TEST_F(HttpClientTest, ManyThreadsShareOne) {
  HttpServer& server = NewServer();
  std::atomic<int> good{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 10; ++j) {
        HttpCall call;
        call.url = Url(server, "/echo/" + std::to_string(i));
        const auto answer = client_.Call(call);
        good += answer && answer->body.starts_with("GET /echo/" + std::to_string(i) + "?") ? 1 : 0;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(good, 80);
}

TEST_F(HttpClientTest, UploadsPartOfAFile) {
  HttpServer& server = NewServer();
  const int fd = open(File("up", "xx" + std::string(3'000'000, 'y') + "zz").c_str(), O_RDONLY);
  HttpCall call;
  call.method = "PUT";
  call.url = Url(server, "/up/x");
  call.upload_fd = fd;
  call.upload_offset = 1;
  call.upload_length = 2'000'001;
  const auto answer = client_.CallOk(call);
  ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
  EXPECT_EQ(answer->body, "2000001 xyyyyyyyyy");
  call.url = Url(server, "/up/no");
  const auto refused = client_.CallOk(call);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), StatusCode::kPermissionDenied) << refused.error().message();
  EXPECT_THAT(refused.error().message(), HasSubstr("not for you"));
  call.url = Url(server, "/up/x");
  call.upload_length = 4'000'000;
  const auto shorter = client_.Call(call);
  ASSERT_FALSE(shorter.has_value());
  EXPECT_EQ(shorter.error().code(), StatusCode::kDataLoss);
  close(fd);
}

TEST_F(HttpClientTest, ResumesADownload) {
  HttpServer& server = NewServer();
  std::string content(300'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 13 % 251);
  File("big", content);
  File("out", content.substr(0, 100'000));
  const int fd = open((folder_ / "out").c_str(), O_WRONLY);
  HttpCall call;
  call.url = Url(server, "/file/big");
  call.output_fd = fd;
  call.resume_from = 100'000;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  call.progress = [&](std::uint64_t so_far, std::uint64_t of_all) {
    EXPECT_GE(so_far, done);
    done = so_far;
    total = of_all;
  };
  const auto answer = client_.CallOk(call);
  ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
  EXPECT_EQ(answer->status, 206);
  EXPECT_EQ(answer->output, 200'000U);
  EXPECT_TRUE(Content("out") == content);
  EXPECT_EQ(done, 300'000U);
  EXPECT_EQ(total, 300'000U);
  call.resume_from = 300'000;
  EXPECT_EQ(CodeOf(client_.CallOk(call)), StatusCode::kOutOfRange);
  close(fd);
  // A server that does not know ranges: what is there is skipped.
  std::string got;
  HttpCall whole;
  whole.url = Url(server, "/whole");
  whole.resume_from = 4;
  whole.sink = [&](std::string_view bytes) {
    got.append(bytes);
    return OkStatus();
  };
  ASSERT_TRUE(client_.CallOk(whole).has_value());
  EXPECT_EQ(got, "456789");
}

TEST_F(HttpClientTest, AnswersHaveLimitsAndSinksMayRefuse) {
  HttpServer& server = NewServer();
  HttpCall call;
  call.url = Url(server, "/whole");
  call.max_answer_bytes = 9;
  EXPECT_EQ(CodeOf(client_.Call(call)), StatusCode::kResourceExhausted);
  call.max_answer_bytes = 10;
  EXPECT_EQ(CodeOf(client_.Call(call)), StatusCode::kOk);
  call.sink = [](std::string_view) { return DataLossError("wrong digest"); };
  const auto refused = client_.Call(call);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), StatusCode::kDataLoss);
  EXPECT_THAT(refused.error().message(), HasSubstr("wrong digest"));
  call.max_output_bytes = 3;
  EXPECT_EQ(CodeOf(client_.Call(call)), StatusCode::kResourceExhausted);
  // An error's body never goes to the sink.
  call.url = Url(server, "/status/404?x");
  const auto missing = client_.Call(call);
  ASSERT_TRUE(missing.has_value());
  EXPECT_EQ(missing->body, "x");
}

TEST_F(HttpClientTest, FollowsRedirectsButNotForEver) {
  HttpServer& server = NewServer();
  const auto to = [&](int status, const std::string& where) {
    return Url(server, "/redirect/" + std::to_string(status) + "?to=" + PercentEncode(where));
  };
  HttpCall call;
  call.url = to(302, "/echo/moved?x=1");
  call.bearer = "secret";
  const auto answer = client_.Call(call);
  ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
  EXPECT_THAT(answer->body, HasSubstr("GET /echo/moved?x=1 [Bearer secret]"));
  EXPECT_EQ(answer->url, Url(server, "/echo/moved?x=1"));
  call.method = "POST";
  call.body = "content";
  call.url = to(307, "/echo");
  EXPECT_THAT(client_.Call(call)->body, HasSubstr("POST /echo? [Bearer secret] []  content"));
  call.url = to(303, "/echo");
  EXPECT_THAT(client_.Call(call)->body, HasSubstr("GET /echo?"));
  HttpCall loop;
  std::string target = "/echo";
  for (int i = 0; i < 6; ++i) target = "/redirect/301?to=" + PercentEncode(target);
  loop.url = Url(server, target);
  EXPECT_EQ(CodeOf(client_.Call(loop)), StatusCode::kFailedPrecondition);
  loop.url = to(302, "file:///etc/passwd");
  EXPECT_EQ(CodeOf(client_.Call(loop)), StatusCode::kInvalidArgument);
}

TEST_F(HttpClientTest, CredentialsStayWithTheirHost) {
  HttpServer& server = NewServer();
  HttpServer& other = NewServer();
  HttpCall call;
  call.bearer = "secret";
  call.headers = {{"X-Mine", "goes along"}, {"Cookie", "c"}};
  call.url = Url(server, "/redirect/307?to=" + PercentEncode(Url(other, "/echo")));
  const auto answer = client_.Call(call);
  ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
  EXPECT_THAT(answer->body, HasSubstr("[] [goes along]"));
}

TEST_F(HttpClientTest, SaysClearlyThatNobodyIsThere) {
  int port = 0;
  {
    HttpServer& server = NewServer();
    port = server.port();
    server.Stop();
  }
  HttpCall call;
  call.url = "http://127.0.0.1:" + std::to_string(port) + "/";
  const auto nobody = client_.Call(call);
  ASSERT_FALSE(nobody.has_value());
  EXPECT_EQ(nobody.error().code(), StatusCode::kUnavailable);
  EXPECT_THAT(nobody.error().message(), HasSubstr("127.0.0.1:" + std::to_string(port)));
  call.url = "http://no-such-host.invalid/";
  HttpClient direct({.proxy = "none"});
  const auto unknown = direct.Call(call);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code(), StatusCode::kUnavailable);
  EXPECT_THAT(unknown.error().message(), HasSubstr("no-such-host.invalid"));
  for (const char* url : {"", "localhost", "ftp://localhost/", "http://", "file:///etc/passwd",
                          "http://a b/", "https://user:hidden@:1/"}) {
    call.url = url;
    const auto bad = client_.Call(call);
    ASSERT_FALSE(bad.has_value()) << url;
    EXPECT_EQ(bad.error().code(), StatusCode::kInvalidArgument) << url;
    EXPECT_THAT(bad.error().message(), Not(HasSubstr("hidden")));
  }
  call.url = "http://localhost:" + std::to_string(port) + "/";
  call.headers = {{"X", "a\r\nInjected: yes"}};
  EXPECT_EQ(CodeOf(client_.Call(call)), StatusCode::kInvalidArgument);
}

TEST_F(HttpClientTest, EndsWhenTimeIsUpOrSomebodySaysSo) {
  HttpServer& server = NewServer();
  HttpCall call;
  call.url = Url(server, "/never");
  call.total_timeout = milliseconds(100);
  EXPECT_EQ(CodeOf(client_.Call(call)), StatusCode::kDeadlineExceeded);
  std::stop_source stop;
  call.total_timeout = milliseconds(0);
  call.stop = stop.get_token();
  std::thread stopper([&] {
    for (;;) {  // once the second request is there
      {
        const std::lock_guard lock(mutex_);
        if (kept_.size() == 2) break;
      }
      std::this_thread::sleep_for(milliseconds(1));
    }
    stop.request_stop();
  });
  EXPECT_EQ(CodeOf(client_.Call(call)), StatusCode::kCancelled);
  stopper.join();
  EXPECT_EQ(CodeOf(client_.Call(call)), StatusCode::kCancelled);
}

TEST_F(HttpClientTest, ThroughAProxyWhereOneIsSet) {
  HttpServerOptions options;
  options.allowed_hosts = {"*"};
  HttpServer& proxy = NewServer(options);
  HttpClient client({.proxy = Url(proxy, "")});
  HttpCall call;
  call.url = "http://behind.example:1234/echo/x";
  const auto answer = client.Call(call);
  ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
  EXPECT_THAT(answer->body, HasSubstr("GET /echo/x"));
}

}  // namespace
}  // namespace selvedge
