// TLS between HttpClient and HttpServer.

#include "net/http_client_testing.h"
#include "net/test_certificates.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_EQ(known->Header("X-Fingerprint"), device.fingerprint);
  const auto anonymous = Get(server, {.ca_file = ca_.ca_file()});
  ASSERT_TRUE(anonymous.has_value());
  EXPECT_EQ(anonymous->Header("X-Peer"), "");
  EXPECT_EQ(anonymous->Header("X-Fingerprint"), "");
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

}  // namespace
}  // namespace selvedge
