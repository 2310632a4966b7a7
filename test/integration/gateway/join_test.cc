// Joining over real HTTPS: a node against a control plane that is honest, or not, or reached
// through a gateway.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "net/http_server.h"
#include "net/join_client.h"
#include "test_fleet.h"
#include "test_site.h"
#include "trust/certificate.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

constexpr const char* kSecret = "0123456789abcdef0123456789abcdef";

class JoinTest : public ::testing::Test {
 protected:
  JoinTest() {
    const TestFleet::Files files = fleet_.Issue("control-plane");
    HttpServerOptions options;
    options.address = "127.0.0.1";
    options.port = 0;
    options.worker_threads = 2;
    options.tls.emplace(files.certificate, files.key);
    server_ = std::make_unique<HttpServer>(options);
    server_->Handle("GET", "/api/v1/ca", [this](const HttpRequest&) {
      return HttpResponse{.body = fleet_.authority().certificate_pem};
    });
    server_->HandleLater("POST", "/api/v1/join",
                         [this](const HttpRequest& request, const HttpReply& reply) {
                           reply(Answer(Json::parse(request.body)));
                         });
    EXPECT_TRUE(server_->Start().ok());
    token_ = {.url = "https://127.0.0.1:" + std::to_string(server_->port()),
              .ca_sha256 = ReadCertificate(fleet_.authority().certificate_pem)->sha256,
              .id = "t1",
              .secret = kSecret,
              .role = "device",
              .site = kSite};
  }

  // What an honest control plane says; `alter_` makes another of it.
  HttpResponse Answer(const Json& request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    if (request["secret"] != kSecret) {
      return HttpJsonError(UnauthenticatedError("the join token is not one of this fleet's"));
    }
    Json answer = {
        {"site", kSite},
        {"name", request["name"]},
        {"certificate", *IssueCertificate(fleet_.authority(), request["csr"].get<std::string>(),
                                          {.name = request["name"]}, Clock::System())},
        {"ca", fleet_.authority().certificate_pem},
        {"mqtt", {"mqtts://127.0.0.1:8883"}},
        {"registry", "https://127.0.0.1:5000"}};
    if (alter_) alter_(&answer);
    return {.content_type = "application/json", .body = answer.dump()};
  }
  Result<NodeIdentity> Join(const std::string& folder = "node") {
    return JoinFleet(fleet_ / folder, token_, {.name = "pi-1", .proxy = "none"});
  }

  TestFleet fleet_;
  std::mutex mutex_;
  std::vector<Json> requests_;
  std::function<void(Json*)> alter_;
  JoinToken token_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(JoinTest, ANodeHasWhatItNeedsAndKeepsItsKey) {
  EXPECT_EQ(LoadIdentity(fleet_ / "node").error().code(), StatusCode::kNotFound);
  const Result<NodeIdentity> joined = Join();
  ASSERT_TRUE(joined.has_value()) << joined.error().ToString();
  EXPECT_EQ(joined->site, kSite);
  EXPECT_EQ(joined->name, "pi-1");
  EXPECT_EQ(joined->mqtt, (std::vector<std::string>{"mqtts://127.0.0.1:8883"}));
  const Result<NodeIdentity> loaded = LoadIdentity(fleet_ / "node");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(loaded->name, "pi-1");
  EXPECT_EQ(loaded->role, "device");
  EXPECT_EQ(loaded->registry, "https://127.0.0.1:5000");
  struct stat facts = {};
  ASSERT_EQ(::stat(loaded->key_file.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
  EXPECT_EQ(requests_.at(0).dump().find("PRIVATE KEY"), std::string::npos);
}

TEST_F(JoinTest, AskingAgainIsWithTheSameKey) {
  alter_ = [](Json* answer) { answer->erase("certificate"); };
  EXPECT_EQ(Join().error().code(), StatusCode::kUnauthenticated);
  alter_ = nullptr;
  ASSERT_TRUE(Join().has_value());
  EXPECT_EQ(ReadCertificateRequest(requests_.at(0)["csr"].get<std::string>())->key_sha256,
            ReadCertificateRequest(requests_.at(1)["csr"].get<std::string>())->key_sha256);
}

TEST_F(JoinTest, AnotherFleetsCaEndsItBeforeTheSecretIsSaid) {
  token_.ca_sha256 = std::string(64, '0');
  const Result<NodeIdentity> joined = Join();
  ASSERT_FALSE(joined.has_value());
  EXPECT_EQ(joined.error().code(), StatusCode::kUnauthenticated);
  EXPECT_TRUE(requests_.empty());
}

TEST_F(JoinTest, ARefusedTokenIsTheControlPlanesSentence) {
  token_.secret = "another-secret-of-some-length";
  const Result<NodeIdentity> joined = Join();
  ASSERT_FALSE(joined.has_value());
  EXPECT_EQ(joined.error().code(), StatusCode::kUnauthenticated);
  EXPECT_NE(joined.error().message().find("not one of this fleet's"), std::string::npos);
  EXPECT_EQ(joined.error().message().find(token_.secret), std::string::npos);
}

TEST_F(JoinTest, AnAnswerThatDoesNotFitIsRefusedAndNothingIsKept) {
  const std::vector<std::function<void(Json*)>> lies = {
      [](Json* a) { (*a)["name"] = "pi-2"; },
      [](Json* a) { (*a)["site"] = "plant-2"; },
      [](Json* a) { (*a)["mqtt"] = {"mqtt://example.com:1883"}; },
      [](Json* a) { (*a)["mqtt"] = Json::array(); },
      [](Json* a) { (*a)["registry"] = "http://example.com"; },
      [](Json* a) { (*a)["certificate"] = "none"; },
      [this](Json* a) { (*a)["certificate"] = fleet_.authority().certificate_pem; },
      [](Json* a) { *a = Json::array(); },
      [](Json* a) {
        // Of another authority, for another key.
        const CertificateAuthority other = *MakeCertificateAuthority("Test fleet", Clock::System());
        (*a)["certificate"] =
            *IssueCertificate(other, *MakeCertificateRequest(*MakePrivateKey(), "pi-1"),
                              {.name = "pi-1"}, Clock::System());
      },
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    alter_ = lies[i];
    EXPECT_FALSE(Join().has_value()) << i;
    EXPECT_EQ(LoadIdentity(fleet_ / "node").error().code(), StatusCode::kNotFound) << i;
  }
}

TEST_F(JoinTest, NobodyThereIsWorthAnotherTry) {
  server_->Stop();
  EXPECT_EQ(Join().error().code(), StatusCode::kUnavailable);
}

TEST_F(JoinTest, ADamagedFolderSaysWhich) {
  ASSERT_TRUE(Join().has_value());
  ASSERT_TRUE(WriteSecretFile(fleet_ / "node/key.pem", *MakePrivateKey()).ok());
  EXPECT_EQ(LoadIdentity(fleet_ / "node").error().code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(WriteFileAtomically(fleet_ / "node/node.json", "{").ok());
  EXPECT_EQ(LoadIdentity(fleet_ / "node").error().code(), StatusCode::kFailedPrecondition);
}

TEST_F(JoinTest, ADeviceJoinsThroughAGatewayThatJoinedItself) {
  FakeCloud cloud(&fleet_);
  alter_ = [&](Json* answer) {
    if ((*answer)["name"] != kGateway) return;
    (*answer)["mqtt"] = {cloud.url()};
    // With the names that the gateway asked for.
    (*answer)["certificate"] = *IssueCertificate(
        fleet_.authority(), requests_.back()["csr"].get<std::string>(),
        {.name = kGateway, .server = true, .dns_names = {"localhost"}, .addresses = {"127.0.0.1"}},
        Clock::System());
  };
  JoinToken token = token_;
  token.role = "gateway";
  ChildOptions options;
  options.program = SELVEDGE_GATEWAY;
  options.arguments = {"--join",       *FormatJoinToken(token),
                       "--name",       kGateway,
                       "--state",      fleet_ / "gateway",
                       "--listen",     "127.0.0.1",
                       "--mqtt-port",  "0",
                       "--https-port", "0"};
  options.output_file = fleet_ / "gateway.log";
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.has_value());
  EXPECT_TRUE(cloud.AwaitBirth(kGateway, [](const v1::Birth& b) { return b.online(); }))
      << ReadFile(fleet_ / "gateway.log", 1 << 20).value_or("");
  const Json places = Json::parse(*ReadFile(fleet_ / "gateway/places.json", 10'000));
  {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(requests_.at(0)["hosts"], (Json{"127.0.0.1", "localhost"}));
    EXPECT_EQ(requests_.at(0)["mqtt"][0],
              "mqtts://127.0.0.1:" + std::to_string(places["mqtt_port"].get<int>()));
  }
  token_.url = "https://127.0.0.1:" + std::to_string(places["https_port"].get<int>());
  Result<NodeIdentity> joined = Err(UnavailableError("not tried"));
  EXPECT_TRUE(Eventually([&] {
    joined = Join();
    return joined.has_value();
  })) << joined.error().ToString();
  EXPECT_EQ(joined->name, "pi-1");
  // What the control plane refuses is refused in its words.
  token_.secret = "another-secret-of-some-length";
  EXPECT_EQ(Join("other").error().code(), StatusCode::kUnauthenticated);
  child->Signal(SIGTERM);
  EXPECT_EQ(child->Wait(20 * kSecond), 0);
}

}  // namespace
}  // namespace selvedge
