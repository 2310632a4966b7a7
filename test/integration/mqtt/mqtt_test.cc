// MqttClient and Broker together: with the real mosquitto, over real TLS.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "net/mqtt/broker.h"
#include "net/mqtt/broker_acl.h"
#include "net/mqtt/mqtt_client.h"
#include "test_fleet.h"

namespace selvedge {
namespace {

constexpr const char* kOwnState = "selvedge/v1/plant-1/pi-1/state";
constexpr const char* kOwnBirth = "selvedge/v1/plant-1/pi-1/birth";

class MqttTest : public ::testing::Test {
 protected:
  void StartBroker() {
    BrokerOptions options = fleet_.Broker("site-broker", SiteBrokerAcl("plant-1", "gateway-1"));
    options.listeners = {{}, {.websockets = true}};
    auto broker = Broker::Start(options);
    ASSERT_TRUE(broker.has_value()) << broker.error().ToString();
    broker_ = *std::move(broker);
  }
  void SetUp() override { StartBroker(); }

  MqttOptions Client(const std::string& name) { return fleet_.Client(name, broker_->port()); }
  TestClient& Gateway() {
    if (!gateway_) {
      gateway_ = std::make_unique<TestClient>(Client("gateway-1"),
                                              std::vector<std::string>{"selvedge/v1/plant-1/#"});
      EXPECT_TRUE(gateway_->Connected());
    }
    return *gateway_;
  }

  TestFleet fleet_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<TestClient> gateway_;
};

TEST_F(MqttTest, AMessageGoesThroughWithItsBytesAsTheyAre) {
  TestClient device(Client("pi-1"));
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected());
  std::string payload("\0\x01\xff", 3);
  payload.append(100'000, 'x');
  EXPECT_EQ(device->Publish(kOwnState, payload, 1, false), OkStatus());
  const MqttMessage message = gateway.Take(kOwnState);
  EXPECT_EQ(message.payload, payload);
  EXPECT_FALSE(message.retained);
  EXPECT_TRUE(Eventually([&] { return device->queued_messages() == 0; }));
}

TEST_F(MqttTest, WebSocketsAreTheSameBroker) {
  TestClient device(fleet_.Client("pi-1", broker_->ports()[1], true));
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected()) << device.LastReason();
  EXPECT_EQ(device->Publish(kOwnState, "over websockets", 1, false), OkStatus());
  EXPECT_EQ(gateway.Take(kOwnState).payload, "over websockets");
}

TEST_F(MqttTest, OrderIsKeptAndNothingIsLeftOutWhileConnected) {
  TestClient device(Client("pi-1"));
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected());
  constexpr int kMessages = 2000;
  for (int i = 0; i < kMessages; ++i) {
    const int qos = i % 2;
    while (device->Publish(kOwnState, std::to_string(i), qos, false).code() ==
           StatusCode::kResourceExhausted) {
      ASSERT_TRUE(Eventually([&] { return device->queued_messages() < 100; }));
    }
  }
  int previous[2] = {-1, -1};
  for (int i = 0; i < kMessages; ++i) {
    const MqttMessage message = gateway.Take(kOwnState);
    ASSERT_FALSE(message.topic.empty()) << i;
    const int number = std::stoi(message.payload);
    EXPECT_GT(number, previous[number % 2]);
    previous[number % 2] = number;
  }
}

TEST_F(MqttTest, ADeviceThatWritesAnothersTopicsIsRefused) {
  TestClient device(Client("pi-1"), {"#"});
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected());
  for (const char* topic :
       {"selvedge/v1/plant-1/pi-2/state", "selvedge/v1/plant-2/pi-1/state",
        "selvedge/v1/plant-1/pi-1/desired", "selvedge/v1/plant-1/gateway-1/state", "other"}) {
    EXPECT_EQ(device->Publish(topic, "forged", 1, false), OkStatus());
  }
  EXPECT_EQ(device->Publish(kOwnState, "own", 1, false), OkStatus());
  EXPECT_EQ(gateway.Take(kOwnState).payload, "own");
  EXPECT_TRUE(Eventually([&] { return device->traffic().refused_messages == 5; }));
  EXPECT_TRUE(gateway.Topics().empty());
  // Nor does it hear what others are told: it subscribed to everything.
  EXPECT_EQ(gateway->Publish("selvedge/v1/plant-1/pi-2/desired", "secret", 1, false), OkStatus());
  EXPECT_EQ(gateway->Publish("selvedge/v1/plant-1/pi-1/desired", "for it", 1, false), OkStatus());
  EXPECT_EQ(device.Take("selvedge/v1/plant-1/pi-1/desired").payload, "for it");
  EXPECT_TRUE(device.Topics().empty());
}

TEST_F(MqttTest, ADeviceThatTakesAnothersClientIdPutsNobodyOut) {
  TestClient& gateway = Gateway();
  MqttOptions options = Client("pi-1");
  options.client_id = "gateway-1";
  TestClient device(options);
  ASSERT_TRUE(device.Connected());
  ASSERT_TRUE(device->Publish(kOwnState, "hello", 1, false).ok());
  EXPECT_EQ(gateway.Take(kOwnState).payload, "hello");
  EXPECT_EQ(gateway.losses(), 0);
}

TEST_F(MqttTest, ACertificateOfAnotherFleetIsRefusedByBothSides) {
  TestFleet other;
  MqttOptions options = Client("pi-1");
  options.ca_file = other.ca_file();
  TestClient wary(options);
  EXPECT_NE(wary.AwaitFailure().find("certificate verify failed"), std::string::npos)
      << wary.LastReason();

  MqttOptions stranger = other.Client("pi-1", broker_->port());
  stranger.ca_file = fleet_.ca_file();
  TestClient intruder(stranger);
  EXPECT_FALSE(intruder.AwaitFailure().empty());
  EXPECT_EQ(intruder.connections(), 0);

  MqttOptions anonymous = Client("pi-1");
  anonymous.certificate_file.clear();
  TestClient nobody(anonymous);
  EXPECT_FALSE(nobody.AwaitFailure().empty());
  EXPECT_EQ(nobody.connections(), 0);
}

TEST_F(MqttTest, ABrokerUnderAnotherNameIsRefused) {
  MqttOptions options = Client("pi-1");
  options.uris = {"mqtts://127.0.0.2:" + std::to_string(broker_->port())};
  BrokerOptions broker_options = fleet_.Broker("other", SiteBrokerAcl("plant-1", "gateway-1"));
  broker_options.listeners = {{.address = "127.0.0.2"}};
  auto broker = Broker::Start(broker_options);
  ASSERT_TRUE(broker.has_value()) << broker.error().ToString();
  options.uris = {"mqtts://127.0.0.2:" + std::to_string((*broker)->port())};
  TestClient device(options);
  EXPECT_FALSE(device.AwaitFailure().empty());
  EXPECT_EQ(device.connections(), 0);
}

TEST_F(MqttTest, AHostNameIsLookedUpAndChecked) {
  MqttOptions options = Client("pi-1");
  options.uris = {"mqtts://no-such-host.invalid:1",
                  "mqtts://localhost:" + std::to_string(broker_->port())};
  TestClient device(options);
  EXPECT_TRUE(device.Connected()) << device.LastReason();
}

TEST_F(MqttTest, AKilledBrokerComesBackOnItsPortAndClientsWithIt) {
  TestClient device(Client("pi-1"), {"selvedge/v1/plant-1/pi-1/desired"});
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected());
  const int port = broker_->port();
  ASSERT_EQ(::kill(broker_->pid(), SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] { return broker_->restarts() == 1 && broker_->running(); }));
  EXPECT_EQ(broker_->port(), port);
  ASSERT_TRUE(Eventually([&] { return device.connections() == 2 && gateway.connections() == 2; }));
  // Its subscription came back with it.
  EXPECT_EQ(gateway->Publish("selvedge/v1/plant-1/pi-1/desired", "again", 1, false), OkStatus());
  EXPECT_EQ(device.Take("selvedge/v1/plant-1/pi-1/desired").payload, "again");
  EXPECT_GT(device->traffic().stream_bytes_sent, 0U);
  EXPECT_EQ(device->traffic().connections, 2U);
}

TEST_F(MqttTest, TheWillComesWithAKillAndNotWithAGoodBye) {
  TestClient& gateway = Gateway();
  MqttOptions options = Client("pi-1");
  options.will = MqttMessage{kOwnBirth, "offline", 1, true};
  {
    TestClient polite(options);
    ASSERT_TRUE(polite.Connected());
    ASSERT_TRUE(polite->Publish(kOwnState, "bye", 1, false).ok());
    polite->Stop(MqttClient::StopMode::kDisconnect);
  }
  EXPECT_EQ(gateway.Take(kOwnState).payload, "bye");
  {
    TestClient asked(options);
    ASSERT_TRUE(asked.Connected());
    asked->Stop(MqttClient::StopMode::kWill);
  }
  EXPECT_EQ(gateway.Take(kOwnBirth).payload, "offline");
  {
    TestClient cut(options);
    ASSERT_TRUE(cut.Connected());
    cut->Stop(MqttClient::StopMode::kCut);
  }
  EXPECT_EQ(gateway.Take(kOwnBirth).payload, "offline");
  // No third one, of the polite client.
  EXPECT_TRUE(gateway.Topics().empty());
}

TEST_F(MqttTest, WhatIsRetainedWaitsForWhoComesLater) {
  TestClient device(Client("pi-1"));
  ASSERT_TRUE(device.Connected());
  ASSERT_TRUE(device->Publish(kOwnState, "first", 1, true).ok());
  ASSERT_TRUE(device->Publish(kOwnState, "second", 1, true).ok());
  ASSERT_TRUE(Eventually([&] { return device->queued_messages() == 0; }));
  const MqttMessage message = Gateway().Take(kOwnState);
  EXPECT_EQ(message.payload, "second");
  EXPECT_TRUE(message.retained);
}

TEST_F(MqttTest, ANewAccessListIsReadWithoutAnybodyLosingTheConnection) {
  TestClient device(Client("pi-1"));
  TestClient over_websockets(fleet_.Client("pi-2", broker_->ports()[1], true));
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected());
  ASSERT_TRUE(over_websockets.Connected());
  ASSERT_TRUE(device->Publish(kOwnState, "before", 1, false).ok());
  EXPECT_EQ(gateway.Take(kOwnState).payload, "before");
  ASSERT_EQ(broker_->SetAcl("user gateway-1\ntopic readwrite #\n"), OkStatus());
  const std::uint64_t refused = device->traffic().refused_messages;
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(device->Publish(kOwnState, "after", 1, false).ok());
    return device->traffic().refused_messages > refused;
  }));
  EXPECT_EQ(device.connections(), 1);
  EXPECT_EQ(over_websockets.connections(), 1);
  EXPECT_EQ(gateway.connections(), 1);
  EXPECT_EQ(gateway.losses() + device.losses() + over_websockets.losses(), 0);
}

TEST_F(MqttTest, PublishRefusesInPlaceOfWaiting) {
  MqttOptions options = Client("pi-1");
  options.max_packet = 1000;
  options.max_queued_messages = 10;
  TestClient device(options);
  ASSERT_TRUE(device.Connected());
  EXPECT_EQ(device->Publish(kOwnState, std::string(1001, 'x'), 1, false).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(device->Publish("a/+", "x", 1, false).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(device->Publish(kOwnState, "x", 2, false).code(), StatusCode::kInvalidArgument);
  // A broker that does not answer: the queue fills, and says so.
  ASSERT_EQ(::kill(broker_->pid(), SIGSTOP), 0);
  Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) status = device->Publish(kOwnState, "x", 1, false);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  ASSERT_EQ(::kill(broker_->pid(), SIGCONT), 0);
  EXPECT_TRUE(Eventually([&] { return device->queued_messages() == 0; }));
  broker_->Stop();
  EXPECT_TRUE(Eventually([&] { return !device->connected(); }));
  EXPECT_EQ(device->Publish(kOwnState, "x", 1, false).code(), StatusCode::kUnavailable);
}

TEST_F(MqttTest, AMessageAboveTheBrokersLimitIsNobodysEnd) {
  MqttOptions options = Client("pi-1");
  options.max_packet = std::size_t{8} << 20;
  TestClient device(options);
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected());
  ASSERT_TRUE(device->Publish(kOwnState, std::string(std::size_t{4} << 20, 'x'), 1, false).ok());
  ASSERT_TRUE(Eventually([&] { return device.losses() > 0 || device->queued_messages() == 0; }));
  // What is given to a connection that is about to be lost is lost with it: said again until heard.
  EXPECT_TRUE(Eventually([&] {
    (void)device->Publish(kOwnState, "small", 1, false);
    return !gateway.Topics().empty();
  }));
  EXPECT_EQ(gateway.Take(kOwnState).payload, "small");
  EXPECT_EQ(gateway.losses(), 0);
}

TEST_F(MqttTest, ABrokerThatStopsReadingIsGivenUp) {
  MqttOptions options = Client("pi-1");
  options.keep_alive = 2 * kSecond;
  TestClient device(options);
  ASSERT_TRUE(device.Connected());
  ASSERT_EQ(::kill(broker_->pid(), SIGSTOP), 0);
  // More than the sockets take: a write stays half done.
  const std::string payload(std::size_t{1} << 19, 'x');
  for (int i = 0; i < 14; ++i) (void)device->Publish(kOwnState, payload, 1, false);
  EXPECT_TRUE(Eventually([&] { return device.losses() > 0; }));
  ASSERT_EQ(::kill(broker_->pid(), SIGCONT), 0);
  EXPECT_TRUE(Eventually([&] { return device->connected(); }));
}

TEST_F(MqttTest, AMessageOfAMegabyteIsTaken) {
  TestClient device(Client("pi-1"));
  TestClient& gateway = Gateway();
  ASSERT_TRUE(device.Connected());
  const std::string payload((std::size_t{1} << 20) - 100, 'x');
  ASSERT_EQ(device->Publish(kOwnState, payload, 0, false), OkStatus());
  EXPECT_EQ(gateway.Take(kOwnState).payload.size(), payload.size());
}

TEST_F(MqttTest, FiltersComeAndGoWhileConnected) {
  TestClient& gateway = Gateway();
  TestClient device(Client("pi-1"));
  ASSERT_TRUE(device.Connected());
  ASSERT_TRUE(gateway->Publish("selvedge/v1/plant-1/pi-1/desired", "kept", 1, true).ok());
  ASSERT_TRUE(device->Subscribe("selvedge/v1/plant-1/pi-1/desired", 1).ok());
  EXPECT_EQ(device.Take("selvedge/v1/plant-1/pi-1/desired").payload, "kept");
  device->Unsubscribe("selvedge/v1/plant-1/pi-1/desired");
  // A filter that is confirmed after the one that went: the order shows that it is gone.
  ASSERT_TRUE(device->Subscribe("selvedge/v1/plant-1/pi-1/ack", 1).ok());
  ASSERT_TRUE(Eventually([&] {
    EXPECT_TRUE(gateway->Publish("selvedge/v1/plant-1/pi-1/ack", "a", 1, true).ok());
    return !device.Topics().empty();
  }));
  ASSERT_TRUE(gateway->Publish("selvedge/v1/plant-1/pi-1/desired", "unheard", 1, false).ok());
  ASSERT_TRUE(gateway->Publish("selvedge/v1/plant-1/pi-1/ack", "last", 1, false).ok());
  while (device.Take("selvedge/v1/plant-1/pi-1/ack").payload != "last") {
  }
  EXPECT_TRUE(device.Topics().empty());
}

TEST_F(MqttTest, ClientsComeAndGoManyTimes) {
  for (int i = 0; i < 30; ++i) {
    MqttOptions options = Client("pi-1");
    // Some are destroyed while they connect, some when they are connected, some have no broker.
    if (i % 3 == 2) options.uris = {"mqtts://127.0.0.1:1"};
    TestClient device(options);
    if (i % 3 == 0) {
      EXPECT_TRUE(device.Connected());
    }
  }
  TestClient device(Client("pi-1"));
  EXPECT_TRUE(device.Connected());
}

TEST_F(MqttTest, ABrokerThatIsAwayAtTheStartIsAwaited) {
  const MqttOptions options = Client("pi-1");
  BrokerOptions same = fleet_.Broker("site-broker", SiteBrokerAcl("plant-1", "gateway-1"));
  same.listeners = {{}, {.websockets = true}};
  broker_->Stop();
  broker_.reset();
  TestClient device(options);
  EXPECT_FALSE(device.AwaitFailure().empty());
  // Its ports are kept in its folder.
  auto broker = Broker::Start(same);
  ASSERT_TRUE(broker.has_value()) << broker.error().ToString();
  EXPECT_TRUE(device.Connected());
}

TEST_F(MqttTest, TheBrokersFolderIsItsOwnersOnly) {
  struct stat facts = {};
  ASSERT_EQ(::stat((fleet_ / "broker-site-broker").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700U);
  ASSERT_EQ(::stat((fleet_ / "broker-site-broker/acl").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
}

TEST_F(MqttTest, APortThatIsTakenIsOneSentence) {
  BrokerOptions options = fleet_.Broker("second", "");
  options.listeners = {{.port = broker_->port()}};
  const auto second = Broker::Start(options);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().message().find("is taken by another program"), std::string::npos)
      << second.error().message();
}

TEST_F(MqttTest, AnExecutableThatIsMissingIsOneSentence) {
  BrokerOptions options = fleet_.Broker("second", "");
  options.executable = "/no/such/mosquitto";
  EXPECT_EQ(Broker::Start(options).error().code(), StatusCode::kNotFound);
}

TEST(MqttOptionsTest, WhatCanNeverWorkIsRefusedAtOnce) {
  TestFleet fleet;
  const MqttOptions good = fleet.Client("pi-1", 1);
  MqttOptions options = good;
  options.uris.clear();
  EXPECT_EQ(MqttClient::Start(options, {}).error().code(), StatusCode::kInvalidArgument);
  options = good;
  options.uris = {"mqtt://192.0.2.1:1883"};
  EXPECT_EQ(MqttClient::Start(options, {}).error().code(), StatusCode::kInvalidArgument);
  options = good;
  options.client_id = "";
  EXPECT_EQ(MqttClient::Start(options, {}).error().code(), StatusCode::kInvalidArgument);
  options = good;
  options.ca_file = "/no/such/file";
  EXPECT_EQ(MqttClient::Start(options, {}).error().code(), StatusCode::kNotFound);
  options = good;
  options.proxy = "socks5://a";
  EXPECT_EQ(MqttClient::Start(options, {}).error().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace selvedge
