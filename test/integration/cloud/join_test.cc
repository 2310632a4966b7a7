// Joining the fleet, and what those who did not may.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "core/topic.h"
#include "test_cloud.h"
#include "trust/certificate.h"
#include "trust/token.h"

namespace selvedge {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(CloudJoin, ADeviceJoinsConnectsAndIsSeen) {
  TestCloud cloud;
  TestDevice device(cloud.MakeJoinToken(), "jetson-1");
  ASSERT_TRUE(device.join_status().ok()) << device.join_status().ToString();
  EXPECT_EQ(device.identity().site, "plant-1");
  EXPECT_EQ(cloud.Get("/devices/jetson-1")["status"], "never");
  device.Connect({{"hardware", "jetson"}});
  ASSERT_TRUE(Await([&] { return cloud.Get("/devices/jetson-1")["in_sync"] == true; }));
  const json seen = cloud.Get("/devices/jetson-1");
  EXPECT_EQ(seen["status"], "online");
  EXPECT_EQ(seen["labels"]["hardware"], "jetson");
  EXPECT_EQ(seen["facts"]["cores"], 2);
  EXPECT_EQ(device.desired().device(), "jetson-1");
  EXPECT_EQ(cloud.Get("/overview")["devices"]["online"], 1);
  device.Disconnect(MqttClient::StopMode::kCut);
  EXPECT_TRUE(Await([&] { return cloud.Get("/devices/jetson-1")["status"] == "offline"; }));
}

TEST(CloudJoin, ForgedAndSpentTokensAreRefused) {
  TestCloud cloud;
  auto token = ParseJoinToken(cloud.MakeJoinToken());
  ASSERT_TRUE(token);
  JoinToken forged = *token;
  forged.secret[3] = forged.secret[3] == 'A' ? 'B' : 'A';
  const TestDevice with_forged(*FormatJoinToken(forged), "a");
  EXPECT_EQ(with_forged.join_status().code(), StatusCode::kUnauthenticated);
  const TestDevice first(*FormatJoinToken(*token), "a");
  EXPECT_TRUE(first.join_status().ok()) << first.join_status().ToString();
  const TestDevice second(*FormatJoinToken(*token), "b");
  EXPECT_EQ(second.join_status().code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(second.join_status().message(), HasSubstr("spent"));
}

TEST(CloudJoin, TwoAgentsWithOneNameTheSecondIsRefused) {
  TestCloud cloud;
  const TestDevice first(cloud.MakeJoinToken(), "a");
  ASSERT_TRUE(first.join_status().ok());
  const TestDevice second(cloud.MakeJoinToken(), "a");
  EXPECT_EQ(second.join_status().code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(second.join_status().message(), HasSubstr("holds the name a"));
}

TEST(CloudJoin, ATokenOfAnotherFleetIsNotEvenSent) {
  TestCloud cloud;
  auto token = ParseJoinToken(cloud.MakeJoinToken());
  ASSERT_TRUE(token);
  token->ca_sha256 = std::string(64, '0');
  const TestDevice device(*FormatJoinToken(*token), "a");
  EXPECT_EQ(device.join_status().code(), StatusCode::kUnauthenticated);
  EXPECT_TRUE(cloud.Get("/devices")["items"].empty());
}

TEST(CloudJoin, ACertificateOfAnotherFleetGetsNoConnection) {
  TestCloud cloud;
  TestCloud other;
  TestDevice device(cloud.MakeJoinToken(), "a");
  TestDevice stranger(other.MakeJoinToken(), "a");
  ASSERT_TRUE(device.join_status().ok() && stranger.join_status().ok());
  std::mutex mutex;
  std::string reason;
  MqttOptions options{.uris = device.identity().mqtt,
                      .client_id = "a",
                      .ca_file = device.identity().ca_file,
                      .certificate_file = stranger.identity().certificate_file,
                      .key_file = stranger.identity().key_file};
  auto client = MqttClient::Start(std::move(options), {.lost = [&](const Status& status, bool) {
                                    const std::lock_guard lock(mutex);
                                    reason = status.message();
                                  }});
  ASSERT_TRUE(client);
  EXPECT_TRUE(Await([&] {
    const std::lock_guard lock(mutex);
    return !reason.empty();
  }));
  EXPECT_FALSE((*client)->connected());
  (*client)->Stop();
}

TEST(CloudJoin, ADeviceCannotWriteAnothersTopics) {
  TestCloud cloud;
  TestDevice good(cloud.MakeJoinToken(), "good");
  TestDevice bad(cloud.MakeJoinToken(), "bad");
  good.Connect();
  bad.Connect();
  ASSERT_TRUE(Await([&] { return cloud.Get("/overview")["devices"]["online"] == 2; }));
  v1::State forged;
  forged.set_device("good");
  forged.set_boot_id("good-1");
  forged.set_sequence(1000);
  forged.set_trouble("forged");
  ASSERT_TRUE(
      bad.Publish(TopicName("plant-1", "good", TopicKind::kState), forged.SerializeAsString())
          .ok());
  // A message of its own, sent after it on the same connection, has arrived.
  bad.Report([](v1::State* state) { state->set_trouble("sent after the forged one"); });
  ASSERT_TRUE(
      Await([&] { return cloud.Get("/devices/bad")["trouble"] == "sent after the forged one"; }));
  EXPECT_EQ(cloud.Get("/devices/good")["trouble"], "");
}

TEST(CloudJoin, ADeletedDeviceIsShutOutAndItsNameIsFree) {
  TestCloud cloud;
  TestDevice device(cloud.MakeJoinToken(), "a");
  device.Connect();
  ASSERT_TRUE(Await([&] { return cloud.Get("/devices/a")["status"] == "online"; }));
  EXPECT_EQ(cloud.Call("DELETE", "/devices/a").status, 200);
  EXPECT_EQ(cloud.Call("GET", "/devices/a").status, 404);
  EXPECT_EQ(cloud.Call("DELETE", "/devices/a").status, 404);
  device.Disconnect();
  TestDevice again(cloud.MakeJoinToken(), "a");
  EXPECT_TRUE(again.join_status().ok()) << again.join_status().ToString();
  again.Connect();
  EXPECT_TRUE(Await([&] { return cloud.Get("/devices/a")["status"] == "online"; }));
}

TEST(CloudJoin, TheStateFolderKeepsItsSecretsToItself) {
  TestCloud cloud;
  for (const std::string name : {"ca.key", "server.key", "admin.token"}) {
    struct stat info{};
    ASSERT_EQ(::stat(cloud.File(name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600U) << name;
  }
  struct stat folder{};
  ASSERT_EQ(::stat(cloud.File("").c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700U);
  EXPECT_EQ(cloud.log().find(cloud.admin()), std::string::npos);
  const auto ca = cloud.Raw({.url = cloud.url() + "/api/v1/ca"});
  EXPECT_EQ(ca.status, 200);
  EXPECT_TRUE(ReadCertificate(ca.text)->authority);
}

TEST(CloudJoin, OversizedAndMalformedRequestsAreRefused) {
  TestCloud cloud;
  EXPECT_EQ(cloud.Call("POST", "/join", "not json").status, 400);
  EXPECT_EQ(cloud.Call("POST", "/join", "{}").status, 400);
  EXPECT_EQ(cloud.Call("POST", "/join", std::string(100'000, '[')).status, 429);
  EXPECT_EQ(cloud.Call("POST", "/join", std::string(200, '[')).status, 400);
  std::string wide = R"({"a":[0)";
  for (int i = 0; i < 20'000; ++i) wide += ",0";
  EXPECT_EQ(cloud.Call("POST", "/join", wide + "]}").status, 400);
  EXPECT_EQ(cloud.Call("POST", "/applications", std::string(5 << 20, 'x')).status, 413);
  EXPECT_EQ(cloud.Call("GET", "/readyz").status, 404);
  EXPECT_EQ(cloud.Raw({.url = cloud.url() + "/readyz"}).status, 200);
}

}  // namespace
}  // namespace selvedge
