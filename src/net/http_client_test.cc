#include "net/http_client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "net/http_server.h"
#include "net/test_certificates.h"

namespace selvedge {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

StatusCode CodeOf(const Result<HttpAnswer>& answer) {
  return answer ? StatusCode::kOk : answer.error().code();
}

class HttpClientTest : public ::testing::Test {
 protected:
  HttpClientTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("selvedge-client-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~HttpClientTest() override {
    for (auto& server : servers_) server->Stop();
    std::filesystem::remove_all(folder_);
  }

  // A server with the routes of these tests.
  HttpServer& NewServer(HttpServerOptions options = {}) {
    options.port = 0;
    options.worker_threads = 2;
    servers_.push_back(std::make_unique<HttpServer>(std::move(options)));
    HttpServer& server = *servers_.back();
    const auto echo = [](const HttpRequest& request, HttpReply reply) {
      HttpResponse response;
      response.body = request.method + " " + request.path + "?" + request.query + " [" +
                      std::string(request.Header("Authorization")) + "] [" +
                      std::string(request.Header("X-Mine")) + "] " +
                      std::string(request.Header("Content-Type")) + " " + request.body;
      response.headers.emplace_back("X-Peer", request.peer_name);
      reply(response);
    };
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
      server.HandlePrefix(method, "/echo", echo);
    }
    server.HandlePrefix("GET", "/status/", [](const HttpRequest& request, HttpReply reply) {
      HttpResponse response;
      response.status = std::stoi(request.path.substr(8));
      response.body = request.query;
      reply(response);
    });
    const auto redirect = [](const HttpRequest& request, HttpReply reply) {
      HttpResponse response;
      response.status = std::stoi(request.path.substr(10));
      response.headers.emplace_back("Location", QueryValue(request.query, "to"));
      response.body = "moved";
      reply(response);
    };
    server.HandlePrefix("GET", "/redirect/", redirect);
    server.HandlePrefix("POST", "/redirect/", redirect);
    server.HandlePrefix("GET", "/file/", [this](const HttpRequest& request, HttpReply reply) {
      const auto file = HttpFile::Open((folder_ / request.path.substr(6)).string());
      reply(file ? AnswerWithFile(request, *file, "application/octet-stream")
                 : HttpJsonError(file.error()));
    });
    server.Handle("GET", "/whole", [](const HttpRequest&) {
      HttpResponse response;
      response.body = "0123456789";
      return response;
    });
    server.HandleUpload("PUT", "/up/", [](const HttpRequest& request) -> HttpUpload {
      if (request.path == "/up/no") return HttpJsonError(PermissionDeniedError("not for you"));
      return CollectBody(10'000'000, [](std::string body, HttpReply reply) {
        HttpResponse response;
        response.body = std::to_string(body.size()) + " " + body.substr(0, 10);
        reply(response);
      });
    });
    server.HandleLater("GET", "/never", [this](const HttpRequest&, HttpReply reply) {
      const std::lock_guard lock(mutex_);
      kept_.push_back(std::move(reply));
    });
    const Status status = server.Start();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return server;
  }
  static std::string Url(const HttpServer& server, const std::string& path,
                         const std::string& host = "localhost") {
    const std::string scheme = server.url().substr(0, server.url().find(':'));
    return scheme + "://" + host + ":" + std::to_string(server.port()) + path;
  }
  std::string File(const std::string& name, const std::string& content) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string Content(const std::string& name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  const std::filesystem::path folder_;
  std::mutex mutex_;
  std::vector<HttpReply> kept_;
  std::vector<std::unique_ptr<HttpServer>> servers_;
  HttpClient client_;
};

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

class HttpClientTlsTest : public HttpClientTest {
 protected:
  HttpServer& NewTlsServer(const TestCa::Pair& pair,
                           HttpTls::Client client = HttpTls::Client::kNone,
                           const std::string& client_ca = "") {
    HttpServerOptions options;
    options.tls.emplace(pair.certificate_file, pair.key_file);
    options.tls->client = client;
    options.tls->client_ca_file = client_ca;
    return NewServer(std::move(options));
  }
  Result<HttpAnswer> Get(const HttpServer& server, HttpClientTls tls,
                         const std::string& host = "localhost") {
    HttpClient client({.tls = std::move(tls)});
    HttpCall call;
    call.url = Url(server, "/echo", host);
    return client.Call(call);
  }
  TestCa ca_;
};

TEST_F(HttpClientTlsTest, TrustsTheGivenCaAndNobodyElse) {
  HttpServer& server = NewTlsServer(ca_.Issue({.cn = "server"}));
  EXPECT_THAT(server.url(), HasSubstr("https://localhost:"));
  EXPECT_EQ(CodeOf(Get(server, {.ca_file = ca_.ca_file()})), StatusCode::kOk);
  EXPECT_EQ(CodeOf(Get(server, {.ca_pem = ca_.ca_pem()})), StatusCode::kOk);
  EXPECT_EQ(CodeOf(Get(server, {.insecure = true})), StatusCode::kOk);
  EXPECT_EQ(CodeOf(Get(server, {})), StatusCode::kUnauthenticated);
  const TestCa another("another fleet");
  const auto wrong = Get(server, {.ca_file = another.ca_file()});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(wrong.error().message(), HasSubstr("localhost:"));
}

TEST_F(HttpClientTlsTest, ChecksTheNameAndTheTimeOfACertificate) {
  HttpServer& named = NewTlsServer(ca_.Issue({.cn = "server", .names = "DNS:elsewhere.example"}));
  EXPECT_EQ(CodeOf(Get(named, {.ca_file = ca_.ca_file()})), StatusCode::kUnauthenticated);
  HttpServer& expired =
      NewTlsServer(ca_.Issue({.cn = "server", .begins_in_s = -7200, .ends_in_s = -3600}));
  const auto old = Get(expired, {.ca_file = ca_.ca_file()});
  ASSERT_FALSE(old.has_value());
  EXPECT_EQ(old.error().code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(old.error().message(), HasSubstr("expired"));
}

TEST_F(HttpClientTlsTest, TheServerLearnsWhoTheClientIs) {
  const auto device = ca_.Issue({.cn = "jetson-1"});
  HttpServer& server =
      NewTlsServer(ca_.Issue({.cn = "server"}), HttpTls::Client::kOptional, ca_.ca_file());
  const auto known = Get(server, {.ca_file = ca_.ca_file(),
                                  .certificate_file = device.certificate_file,
                                  .key_file = device.key_file});
  ASSERT_TRUE(known.has_value()) << known.error().ToString();
  EXPECT_EQ(known->Header("X-Peer"), "jetson-1");
  const auto anonymous = Get(server, {.ca_file = ca_.ca_file()});
  ASSERT_TRUE(anonymous.has_value());
  EXPECT_EQ(anonymous->Header("X-Peer"), "");
}

TEST_F(HttpClientTlsTest, AClientCertificateOfAnotherFleetOrNoneOrAnOldOneIsRefused) {
  TestCa another("another fleet");
  HttpServer& server =
      NewTlsServer(ca_.Issue({.cn = "server"}), HttpTls::Client::kRequired, ca_.ca_file());
  const auto with = [&](const TestCa::Pair& pair) {
    return Get(server, {.ca_file = ca_.ca_file(),
                        .certificate_file = pair.certificate_file,
                        .key_file = pair.key_file});
  };
  EXPECT_EQ(CodeOf(with(ca_.Issue({.cn = "jetson-1"}))), StatusCode::kOk);
  EXPECT_EQ(CodeOf(with(another.Issue({.cn = "jetson-1"}))), StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(with(ca_.Issue({.cn = "jetson-1", .begins_in_s = -9, .ends_in_s = -5}))),
            StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(Get(server, {.ca_file = ca_.ca_file()})), StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(with({"/nonexistent.pem", "/nonexistent.key"})), StatusCode::kInvalidArgument);
}

TEST_F(HttpClientTlsTest, TheCertificateDoesNotFollowARedirectElsewhere) {
  const auto device = ca_.Issue({.cn = "jetson-1"});
  const auto pair = ca_.Issue({.cn = "server"});
  HttpServer& here = NewTlsServer(pair, HttpTls::Client::kOptional, ca_.ca_file());
  HttpServer& there = NewTlsServer(pair, HttpTls::Client::kOptional, ca_.ca_file());
  HttpClient client({.tls = {.ca_file = ca_.ca_file(),
                             .certificate_file = device.certificate_file,
                             .key_file = device.key_file}});
  HttpCall call;
  call.url = Url(here, "/redirect/302?to=" + PercentEncode(Url(there, "/echo")));
  const auto answer = client.Call(call);
  ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
  EXPECT_EQ(answer->Header("X-Peer"), "");
  HttpServer& plain = NewServer();
  call.url = Url(here, "/redirect/302?to=" + PercentEncode(Url(plain, "/echo")));
  EXPECT_EQ(CodeOf(client.Call(call)), StatusCode::kPermissionDenied);
}

TEST_F(HttpClientTlsTest, RenewedCertificatesAreTakenUp) {
  const auto first = ca_.Issue({.cn = "server", .begins_in_s = -9, .ends_in_s = -5});
  HttpServer& server = NewTlsServer(first);
  EXPECT_EQ(CodeOf(Get(server, {.ca_file = ca_.ca_file()})), StatusCode::kUnauthenticated);
  const auto second = ca_.Issue({.cn = "server"});
  std::filesystem::rename(second.certificate_file, first.certificate_file);
  EXPECT_EQ(server.ReloadTls().code(), StatusCode::kInvalidArgument);  // of another key
  EXPECT_EQ(CodeOf(Get(server, {.ca_file = ca_.ca_file()})), StatusCode::kUnauthenticated);
  std::filesystem::rename(second.key_file, first.key_file);
  EXPECT_TRUE(server.ReloadTls().ok());
  EXPECT_EQ(CodeOf(Get(server, {.ca_file = ca_.ca_file()})), StatusCode::kOk);
  EXPECT_EQ(NewServer().ReloadTls().code(), StatusCode::kFailedPrecondition);
}

TEST_F(HttpClientTlsTest, StartSaysWhichFileIsWrong) {
  HttpServerOptions options;
  options.port = 0;
  const auto pair = ca_.Issue({.cn = "server"});
  options.tls.emplace("/nonexistent.pem", pair.key_file);
  EXPECT_THAT(HttpServer(options).Start().message(), HasSubstr("/nonexistent.pem"));
  options.tls.emplace(pair.certificate_file, File("bad.key", "no key"));
  EXPECT_THAT(HttpServer(options).Start().message(), HasSubstr("bad.key"));
  options.tls.emplace(pair.certificate_file, pair.key_file);
  options.tls->client = HttpTls::Client::kRequired;
  options.tls->client_ca_file = "/nonexistent-ca.pem";
  EXPECT_THAT(HttpServer(options).Start().message(), HasSubstr("/nonexistent-ca.pem"));
}

TEST_F(HttpClientTlsTest, PlainHttpOnATlsPortIsToldSo) {
  HttpServer& server = NewTlsServer(ca_.Issue({.cn = "server"}));
  HttpCall call;
  call.url = "http://localhost:" + std::to_string(server.port()) + "/echo";
  const auto answer = client_.Call(call);
  ASSERT_TRUE(answer.has_value()) << answer.error().ToString();
  EXPECT_EQ(answer->status, 400);
  EXPECT_THAT(answer->body, HasSubstr("https://"));
}

TEST_F(HttpClientTlsTest, LargeBodiesBothWays) {
  HttpServer& server = NewTlsServer(ca_.Issue({.cn = "server"}));
  HttpClient client({.tls = {.ca_file = ca_.ca_file()}});
  File("big", std::string(3'000'000, 'b'));
  HttpCall call;
  call.url = Url(server, "/file/big");
  const auto down = client.CallOk(call);
  ASSERT_TRUE(down.has_value()) << down.error().ToString();
  EXPECT_EQ(down->body.size(), 3'000'000U);
  call.method = "PUT";
  call.url = Url(server, "/up/x");
  call.body = std::string(3'000'000, 'c');
  const auto up = client.CallOk(call);
  ASSERT_TRUE(up.has_value()) << up.error().ToString();
  EXPECT_EQ(up->body, "3000000 cccccccccc");
}

HttpAnswer Answered(int status, std::string body, const std::string& type = "application/json") {
  HttpAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  answer.url = "https://user:pw@host:8443/x";
  answer.headers = {{"Content-Type", type}};
  return answer;
}

TEST(StatusOfAnswerTest, TakesTheMessageOfTheBody) {
  EXPECT_TRUE(StatusOfAnswer(Answered(204, "")).ok());
  EXPECT_EQ(StatusOfAnswer(Answered(404, R"({"error":{"code":"NOT_FOUND","message":"no x"}})")),
            NotFoundError("host:8443: no x"));
  EXPECT_EQ(
      StatusOfAnswer(Answered(409, R"({"error":{"code":"FAILED_PRECONDITION","message":"m"}})")),
      FailedPreconditionError("host:8443: m"));
  EXPECT_EQ(StatusOfAnswer(Answered(401, R"({"errors":[{"code":"X","message":"who?"}]})")),
            UnauthenticatedError("host:8443: who?"));
  EXPECT_EQ(StatusOfAnswer(Answered(503, "too busy\nmore\n", "text/plain; charset=utf-8")),
            UnavailableError("host:8443: too busy"));
  EXPECT_EQ(StatusOfAnswer(Answered(502, "<html>", "text/html")),
            UnavailableError("host:8443 answered 502 (Bad Gateway)"));
}

TEST(StatusOfAnswerTest, BelievesNothingAboutTheBody) {
  for (const char* body : {"", "null", "[]", "{\"error\":1}", "{\"errors\":[]}", "{\"errors\":[1]}",
                           "{\"error\":{\"message\":{}}}", "{\"error\":", "\xff\xfe"}) {
    const Status status = StatusOfAnswer(Answered(500, body));
    EXPECT_EQ(status.message(), "host:8443 answered 500 (Internal Server Error)") << body;
  }
  const std::string wild =
      R"({"error":{"message":"a\nb\u001b[31m)" + std::string(5000, 'x') + "\"}}";
  const Status status = StatusOfAnswer(Answered(400, wild));
  EXPECT_THAT(status.message(), HasSubstr("a b [31m"));
  EXPECT_LT(status.message().size(), 600U);
}

TEST(PercentEncodeTest, EscapesAllButTheUnreserved) {
  EXPECT_EQ(PercentEncode("a-Z_0.~"), "a-Z_0.~");
  EXPECT_EQ(PercentEncode("a b/ä"), "a%20b%2F%C3%A4");
  EXPECT_EQ(HostOfUrl("https://u:p@h:1/x?y@z"), "h:1");
}

}  // namespace
}  // namespace selvedge
